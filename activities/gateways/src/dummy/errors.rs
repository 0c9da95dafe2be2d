//! Failures that an amount selects, and failures of the storage.

use std::time::Duration;

use schemas::attempt::ErrorClass;

use super::requests::Script;
use crate::{GatewayError, StorageFailed, http::Effect};

/// Wait that a throttled request is asked for.
const THROTTLED_FOR: Duration = Duration::from_secs(1);

/// Returns the error of a request without an effect; `None`: the request succeeds.
pub(super) fn scripted(script: Script) -> Option<GatewayError> {
    let (class, code, message) = match script {
        Script::Rejected => (ErrorClass::Rejected, "rejected", "the amount is refused"),
        Script::Declined => (
            ErrorClass::Declined,
            "declined",
            "the payer's means are declined",
        ),
        Script::Throttled => (ErrorClass::Throttled, "http_429", "too many requests"),
        Script::Denied => (
            ErrorClass::Denied,
            "http_401",
            "the credentials are refused",
        ),
        Script::Unreachable => (
            ErrorClass::NotCreated,
            "connect",
            "the gateway took no connection",
        ),
        Script::Shown
        | Script::PaidAtOnce
        | Script::AnswerLost
        | Script::RequestLost
        | Script::Slow
        | Script::Failing => return None,
    };
    let retry_after = (script == Script::Throttled).then_some(THROTTLED_FOR);
    Some(GatewayError {
        retry_after,
        ..GatewayError::new(class, code, message)
    })
}

/// Returns the error of a request whose first try has no effect; `None`: it has one.
pub(super) fn first_try(script: Script) -> Option<GatewayError> {
    match script {
        Script::RequestLost => Some(lost()),
        Script::Failing => Some(GatewayError::new(
            ErrorClass::Unknown,
            "http_503",
            "the gateway answered 503",
        )),
        _ => None,
    }
}

/// Returns the error of a lost answer.
pub(super) fn lost() -> GatewayError {
    let why = "the gateway did not answer in time";
    GatewayError::new(ErrorClass::Unknown, "timeout", why)
}

/// Returns the error of a call that the storage failed.
pub(super) fn storage(failed: StorageFailed, effect: Effect) -> GatewayError {
    GatewayError::new(effect.lost(), "storage", failed.to_string())
}
