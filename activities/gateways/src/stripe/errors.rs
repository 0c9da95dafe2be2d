//! Maps Stripe's errors to our classes. `docs/gateways/stripe.md#errors`.

use schemas::attempt::ErrorClass;

use crate::{
    GatewayError,
    http::{Answer, Effect},
};

/// Code of an intent that no longer permits the request: it was paid or canceled.
pub(super) const UNEXPECTED_STATE: &str = "payment_intent_unexpected_state";

/// Our code for an earlier request under the same key that is still running. It is no outcome: the same key must be sent again.
const KEY_IN_USE: &str = "key_in_use";

/// Stripe's code of an absent resource.
pub(super) const ABSENT: &str = "resource_missing";

/// Errors of the account and its configuration: any other order would be refused too.
const ACCOUNTS: [&str; 7] = [
    "account_invalid",
    "country_unsupported",
    "livemode_mismatch",
    "payment_method_unactivated",
    "platform_api_key_expired",
    "secret_key_required",
    "testmode_charges_only",
];

/// Returns the error of an unsuccessful answer.
pub(super) fn of(answer: &Answer, effect: Effect) -> GatewayError {
    let body = answer.json();
    let error = &body["error"];
    let text = |field: &str| error[field].as_str();
    let (kind, param) = (
        text("type").unwrap_or_default(),
        text("param").unwrap_or_default(),
    );
    let code = if is_key_in_use(answer.status, kind, text("code")) {
        Some(KEY_IN_USE)
    } else {
        text("code").or(text("type"))
    };
    // Stripe's message may repeat values of the request: the parameter's name is enough
    let message = match (text("code"), param) {
        (Some(code), "") => format!("Stripe refused: {code}"),
        (Some(code), param) => format!("Stripe refused {param}: {code}"),
        (None, "") => format!("Stripe answered {}", answer.status),
        (None, param) => format!("Stripe refused {param}"),
    };
    let generic = answer.error(effect, code, Some(&message));
    if answer.is_foreign() {
        return generic;
    }
    let of_account = text("code").is_some_and(|code| ACCOUNTS.contains(&code));
    let class = match class(answer.status, (kind, param), generic.class) {
        ErrorClass::Rejected if of_account => ErrorClass::Denied,
        class => class,
    };
    GatewayError { class, ..generic }
}

/// Returns true if a request under the same key is still running (status 409). Other parameters under the key give status 400.
fn is_key_in_use(status: u16, kind: &str, code: Option<&str>) -> bool {
    code == Some("idempotency_key_in_use") || (status == 409 && kind == "idempotency_error")
}

/// Returns true if the resource does not exist.
pub(super) fn is_absent(error: &GatewayError) -> bool {
    error.code == ABSENT
}

/// Returns the class of a refusal; `otherwise`, the class of its status, if its kind determines none.
fn class(status: u16, (kind, param): (&str, &str), otherwise: ErrorClass) -> ErrorClass {
    match (status, kind) {
        // the key was used before: for something else, or for a request that is still running
        (400 | 409, "idempotency_error") => ErrorClass::Unknown,
        // Pix is by invitation: an account without it must be configured, and is no fault of the order
        (400, _) if param.starts_with("payment_method_types") => ErrorClass::Denied,
        (402, "card_error") => ErrorClass::Declined,
        (402, _) => ErrorClass::Rejected,
        _ => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_use_is_reported_from_a_key_used_for_something_else() {
        for (status, kind, code, in_use) in [
            (
                409,
                "idempotency_error",
                Some("idempotency_key_in_use"),
                true,
            ),
            (409, "idempotency_error", None, true),
            (
                409,
                "invalid_request_error",
                Some("idempotency_key_in_use"),
                true,
            ),
            (400, "idempotency_error", None, false),
            (409, "invalid_request_error", Some("lock_timeout"), false),
            (429, "invalid_request_error", Some("lock_timeout"), false),
        ] {
            assert_eq!(
                is_key_in_use(status, kind, code),
                in_use,
                "{status} {kind} {code:?}"
            );
        }
    }

    #[test]
    fn a_refusals_type_and_parameter_decide_where_its_status_does_not() {
        use ErrorClass::{Declined, Denied, Rejected, Throttled, Unknown};
        let invalid = "invalid_request_error";
        for (status, kind, param, otherwise, expected) in [
            (400, invalid, "amount", Rejected, Rejected),
            (400, invalid, "payment_method_types", Rejected, Denied),
            (400, invalid, "payment_method_types[0]", Rejected, Denied),
            (400, "idempotency_error", "", Rejected, Unknown),
            (409, "idempotency_error", "", Unknown, Unknown),
            (401, invalid, "", Denied, Denied),
            (402, "card_error", "", Declined, Declined),
            (402, invalid, "", Declined, Rejected),
            (404, invalid, "id", Rejected, Rejected),
            (429, invalid, "", Throttled, Throttled),
            (500, "api_error", "", Unknown, Unknown),
        ] {
            let read = class(status, (kind, param), otherwise);
            assert_eq!(read, expected, "{status} {kind} {param}");
        }
    }
}
