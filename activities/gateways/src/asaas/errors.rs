//! Maps Asaas's errors to our classes. `docs/gateways/asaas.md#errors`.

use schemas::attempt::ErrorClass;

use crate::{
    GatewayError,
    http::{Answer, Effect},
};

/// Code of a payment whose customer does not exist.
pub(super) const NO_CUSTOMER: &str = "invalid_customer";
/// Code of an account without approved commercial data: it may not charge by this method at all.
const INVALID_BILLING_TYPE: &str = "invalid_billingType";
/// Code of an absent resource. Such an answer often has an empty body, so the status decides and not the body's code.
const ABSENT: &str = "http_404";

/// Code of an answer that cannot be parsed.
pub(super) const UNREADABLE: &str = "unreadable";

/// Returns the error of an unsuccessful answer. Descriptions are Asaas's own texts and repeat no value; a body may also be HTML or empty.
pub(super) fn of(answer: &Answer, effect: Effect) -> GatewayError {
    let body = answer.json();
    let first = &body["errors"][0];
    let code = first["code"].as_str().filter(|_| answer.status != 404);
    let generic = answer.error(effect, code, first["description"].as_str());
    let class = class(&generic);
    GatewayError { class, ..generic }
}

/// Returns the class of a refusal that its status alone does not determine.
fn class(error: &GatewayError) -> ErrorClass {
    match (error.class, error.code.as_str()) {
        (ErrorClass::Rejected, INVALID_BILLING_TYPE) => ErrorClass::Denied,
        (class, _) => class,
    }
}

/// Returns true if the resource does not exist.
pub(super) fn is_absent(error: &GatewayError) -> bool {
    error.code == ABSENT
}

/// Returns the error of a refund. Asaas answers 404 without a body if the payment does not exist: such a refund can never succeed.
pub(super) fn without_a_payment(error: GatewayError) -> GatewayError {
    if is_absent(&error) {
        let class = ErrorClass::Rejected;
        return GatewayError { class, ..error };
    }
    error
}

/// Returns true if Asaas refused the request definitely: the resource is absent or in another state.
pub(super) fn is_definite(error: &GatewayError) -> bool {
    error.class == ErrorClass::Rejected
}

/// Returns true if Asaas sent an instrument that could not be parsed.
pub(super) fn is_unreadable(error: &GatewayError) -> bool {
    error.code == UNREADABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_of_the_account_is_denied() {
        use ErrorClass::{Denied, Rejected, Unknown};
        for (code, class_before, expected) in [
            ("invalid_billingType", Rejected, Denied),
            ("invalid_billingType", Unknown, Unknown),
            ("invalid_customer", Rejected, Rejected),
            ("invalid_object", Rejected, Rejected),
            ("invalid_value", Rejected, Rejected),
            ("invalid_dueDate", Rejected, Rejected),
            ("invalid_email", Rejected, Rejected),
            ("invalid_mobilePhone", Rejected, Rejected),
            ("invalid_action", Rejected, Rejected),
            ("invalid_access_token", Denied, Denied),
        ] {
            let error = GatewayError::new(class_before, code, "");
            assert_eq!(class(&error), expected, "{code}");
        }
    }
}
