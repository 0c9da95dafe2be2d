//! Asaas's errors in our classes. `docs/gateways/asaas.md#errors`.

use schemas::attempt::ErrorClass;

use crate::{
    GatewayError,
    http::{Answer, Effect},
};

/// The customer of a payment is not there.
pub(super) const NO_CUSTOMER: &str = "invalid_customer";
/// Of the account: its commercial data are not approved, so that it may not charge by this method at all.
const INVALID_BILLING_TYPE: &str = "invalid_billingType";
/// Nothing is there: often with an empty body, so that the status counts and not a code.
const ABSENT: &str = "http_404";

/// The code of an answer that is not understood.
pub(super) const UNREADABLE: &str = "unreadable";

/// An answer that is no success. Descriptions are Asaas's own texts and repeat no value; a body may also be HTML or empty.
pub(super) fn of(answer: &Answer, effect: Effect) -> GatewayError {
    let body = answer.json();
    let first = &body["errors"][0];
    let code = first["code"].as_str().filter(|_| answer.status != 404);
    let generic = answer.error(effect, code, first["description"].as_str());
    let class = class(&generic);
    GatewayError { class, ..generic }
}

/// What a refusal means, where its status alone does not tell.
fn class(error: &GatewayError) -> ErrorClass {
    match (error.class, error.code.as_str()) {
        (ErrorClass::Rejected, INVALID_BILLING_TYPE) => ErrorClass::Denied,
        (class, _) => class,
    }
}

/// Nothing is there.
pub(super) fn is_absent(error: &GatewayError) -> bool {
    error.code == ABSENT
}

/// The failure to give a payment back: what is not there, as Asaas says without a word, can never be.
pub(super) fn without_a_payment(error: GatewayError) -> GatewayError {
    if is_absent(&error) {
        let class = ErrorClass::Rejected;
        return GatewayError { class, ..error };
    }
    error
}

/// Asaas answered, and will not do it: absent, or in another state.
pub(super) fn is_definite(error: &GatewayError) -> bool {
    error.class == ErrorClass::Rejected
}

/// What the payer is to be shown came, and could not be read.
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
