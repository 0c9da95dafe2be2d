//! Stripe's errors in our classes. `GATEWAYS.md` §3.7 and §3.8.

use schemas::attempt::ErrorClass;

use crate::{
    GatewayError,
    http::{Answer, Effect},
};

/// The intent cannot do this any more: it was paid or canceled.
pub(super) const UNEXPECTED_STATE: &str = "payment_intent_unexpected_state";

/// An answer that is no success.
pub(super) fn of(answer: &Answer, effect: Effect) -> GatewayError {
    let body = answer.json();
    let error = &body["error"];
    let text = |field: &str| error[field].as_str();
    let (kind, param) = (
        text("type").unwrap_or_default(),
        text("param").unwrap_or_default(),
    );
    let code = text("code").or(text("type"));
    // its message may repeat what was sent: the parameter's name tells enough
    let message = match (text("code"), param) {
        (Some(code), "") => format!("Stripe refused: {code}"),
        (Some(code), param) => format!("Stripe refused {param}: {code}"),
        (None, "") => format!("Stripe answered {}", answer.status),
        (None, param) => format!("Stripe refused {param}"),
    };
    let generic = answer.error(effect, code, Some(&message));
    let class = match (answer.status, kind) {
        // the key was used before: for something else, or for a request still under way
        (400 | 409, "idempotency_error") => ErrorClass::Unknown,
        // Pix is by invitation: an account without it is ours to configure
        (400, _) if param.starts_with("payment_method_types") => ErrorClass::Denied,
        (402, "card_error") => ErrorClass::Declined,
        (402, _) => ErrorClass::Refused,
        _ => generic.class,
    };
    GatewayError { class, ..generic }
}
