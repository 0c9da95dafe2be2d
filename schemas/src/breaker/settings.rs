//! When a breaker opens and closes.

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FailureWindow, Why};

/// All of something, in basis points.
const WHOLE_BPS: i64 = 10_000;

/// When a breaker opens and closes; a merchant may change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BreakerSettings {
    /// How far back attempts count, in seconds.
    #[schemars(range(min = 1, max = 3600))]
    pub window_s: i64,
    /// Opens after this many failures in a row.
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_failures: i32,
    /// Opens when this share of the window's attempts failed, in basis points.
    #[schemars(range(min = 1, max = 10_000))]
    pub failure_rate_bps: i32,
    /// The share counts only from this many attempts in the window.
    #[schemars(range(min = 1, max = 10_000))]
    pub min_attempts: i32,
    /// How long it stays open the first time, in seconds; doubles with each failed probe.
    #[schemars(range(min = 1, max = 3600))]
    pub open_s: i64,
    /// The longest it stays open, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub max_open_s: i64,
    /// Closes after this many probes that found the gateway alive.
    #[schemars(range(min = 1, max = 100))]
    pub half_open_successes: i32,
    /// A call that took longer counts as failed, in milliseconds. The default is an attempt's whole time
    /// while another route remains: a gateway that needs longer is of no use to a payer who waits.
    #[schemars(range(min = 1, max = 60_000))]
    pub slow_call_ms: i64,
    /// Whether requests that the gateway refused for their content (400, 404, 409, 422) count as failed.
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
    /// How far back attempts count.
    pub(super) fn window(&self) -> TimeDelta {
        seconds(self.window_s)
    }

    /// How long the breaker stays open when it opens for the n-th time in a row.
    pub(super) fn open_for(&self, openings: i32) -> TimeDelta {
        let doublings = u32::try_from(openings - 1).unwrap_or(0);
        let factor = 2_i64.saturating_pow(doublings);
        seconds(self.open_s.saturating_mul(factor).min(self.max_open_s))
    }

    /// Whether a window that ends with a failure opens a closed breaker.
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
