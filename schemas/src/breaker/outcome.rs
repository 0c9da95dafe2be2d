//! What a call says about its gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BreakerSettings;
use crate::{attempt::ErrorClass, id::AttemptId};

/// What a call says about its gateway's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallHealth {
    /// It worked.
    Success,
    /// It was refused for its own content (a 400, a decline): no merit, but the gateway lives.
    Alive,
    /// The gateway failed, was slow, or asked for fewer calls.
    Failure,
    /// The gateway refused our credentials (401, 403): every call would fail.
    Denied,
}

/// An attempt that ended, as the breaker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallReport {
    /// Which one: in half-open only the leased probe's outcome counts.
    pub attempt: AttemptId,
    /// How it went.
    pub outcome: CallHealth,
}

/// What the attempts since [`Breaker::counts_from`](super::Breaker::counts_from) amount to, the one being recorded included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureWindow {
    /// All that ended.
    pub attempts: i32,
    /// Those whose outcome was a failure or a denial.
    pub failures: i32,
    /// The failures since the last one that was none.
    pub consecutive_failures: i32,
}

/// What a call says about its gateway: how it ended (`None`: well) and how long it took, in milliseconds.
///
/// Only for calls that reached for the gateway: what ended before that (no free slot in our own
/// bulkhead, say) must not be recorded.
pub fn outcome_of(
    class: Option<ErrorClass>,
    duration_ms: i64,
    settings: &BreakerSettings,
) -> CallHealth {
    match class {
        Some(ErrorClass::Denied) => CallHealth::Denied,
        Some(class) if class.counts_against_gateway() => CallHealth::Failure,
        _ if duration_ms > settings.slow_call_ms => CallHealth::Failure,
        Some(ErrorClass::Rejected) if settings.count_client_errors => CallHealth::Failure,
        Some(_) => CallHealth::Alive,
        None => CallHealth::Success,
    }
}
