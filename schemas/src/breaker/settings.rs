//! Thresholds and times of a breaker.

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FailureWindow, Why};

/// 100% in basis points.
const WHOLE_BPS: i64 = 10_000;

/// Thresholds and times of a breaker. A merchant may change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BreakerSettings {
    /// Length of the window in which attempts count, in seconds, from 1 to 3600. Defaults to 60.
    #[schemars(range(min = 1, max = 3600))]
    pub window_s: i64,
    /// Number of failures in a row that opens the breaker, from 1 to 1000. Defaults to 5.
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_failures: i32,
    /// Share of failed attempts in the window that opens the breaker, in basis points, from 1 to 10000. Defaults to 5000 (50%).
    #[schemars(range(min = 1, max = 10_000))]
    pub failure_rate_bps: i32,
    /// Number of attempts in the window from which `failure_rate_bps` applies, from 1 to 10000. Defaults to 10.
    #[schemars(range(min = 1, max = 10_000))]
    pub min_attempts: i32,
    /// Time that the breaker stays open the first time, in seconds, from 1 to 3600. It doubles with each failed probe. Defaults to 30.
    #[schemars(range(min = 1, max = 3600))]
    pub open_s: i64,
    /// Maximum time that the breaker stays open, in seconds, from 1 to 86400. Defaults to 600.
    #[schemars(range(min = 1, max = 86_400))]
    pub max_open_s: i64,
    /// Number of probes that must find the gateway alive to close the breaker, from 1 to 100. Defaults to 3.
    #[schemars(range(min = 1, max = 100))]
    pub half_open_successes: i32,
    /// Duration in milliseconds after which a call counts as failed, from 1 to 60000. Defaults to 8000, the whole time of an
    /// attempt while another route remains. A gateway that needs longer is too slow for a payer who waits.
    #[schemars(range(min = 1, max = 60_000))]
    pub slow_call_ms: i64,
    /// True if requests that the gateway rejected for their content (400, 404, 409, 422) count as failed. Defaults to false.
    pub count_client_errors: bool,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            window_s: 60,
            consecutive_failures: 5,
            failure_rate_bps: 5_000,
            min_attempts: 10,
            open_s: 30,
            max_open_s: 600,
            half_open_successes: 3,
            slow_call_ms: 8_000,
            count_client_errors: false,
        }
    }
}

impl BreakerSettings {
    /// Returns the length of the window in which attempts count.
    pub(super) fn window(&self) -> TimeDelta {
        seconds(self.window_s)
    }

    /// Returns the time that the breaker stays open when it opens for the n-th time in a row.
    pub(super) fn open_for(&self, openings: i32) -> TimeDelta {
        let doublings = u32::try_from(openings - 1).unwrap_or(0);
        let factor = 2_i64.saturating_pow(doublings);
        seconds(self.open_s.saturating_mul(factor).min(self.max_open_s))
    }

    /// Returns the reason to open a closed breaker after a window that ends with a failure; `None` if it stays closed.
    pub(super) fn opens_after(&self, window: &FailureWindow) -> Option<Why> {
        let share_bps = i64::from(window.failures) * WHOLE_BPS;
        let limit_bps = i64::from(window.attempts) * i64::from(self.failure_rate_bps);
        if window.consecutive_failures >= self.consecutive_failures {
            Some(Why::ConsecutiveFailures)
        } else if window.attempts >= self.min_attempts && share_bps >= limit_bps {
            Some(Why::FailureRate)
        } else {
            None
        }
    }
}

fn seconds(s: i64) -> TimeDelta {
    TimeDelta::try_seconds(s).unwrap_or(TimeDelta::MAX)
}
