//! Outcome of a call, as the breaker counts it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BreakerSettings;
use crate::{attempt::ErrorClass, id::AttemptId};

/// Health of a gateway, as one call indicates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallHealth {
    /// The call succeeded.
    Success,
    /// Client error or decline (for example a 400): the gateway is healthy.
    Alive,
    /// The gateway failed, was slow, or limited the rate of calls.
    Failure,
    /// The gateway refused our credentials (401, 403), so every call would fail.
    Denied,
}

/// Report of a finished attempt to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallReport {
    /// Id of the attempt. While the breaker is half open, only the outcome of the leased probe counts.
    pub attempt: AttemptId,
    /// Outcome of the attempt.
    pub outcome: CallHealth,
}

/// Counts of the attempts since [`Breaker::counts_from`](super::Breaker::counts_from), including the one being recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureWindow {
    /// Number of finished attempts.
    pub attempts: i32,
    /// Number of attempts whose outcome was a failure or a denial.
    pub failures: i32,
    /// Number of failures since the last attempt that was no failure.
    pub consecutive_failures: i32,
}

/// Returns the health that a call indicates, by its error (`None`: success) and its duration in milliseconds.
///
/// Only for calls that were sent to the gateway. A call that ended before that (for example
/// without a free slot in our own bulkhead) must not be recorded.
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
