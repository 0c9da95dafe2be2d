//! Options of activities. Activities fail only if our own infrastructure fails; all other outcomes are results. So all are retried without
//! limit, with short intervals at first.

use std::time::Duration;

use temporalio_common::RetryPolicy;
use temporalio_sdk::{ActivityOptions, LocalActivityOptions};

/// Maximum time of a local activity. Longer than any attempt: the last gateway's call, the search for its outcome, and the write.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(40);
/// Maximum time between heartbeats of a scheduled activity. One without a heartbeat was lost with its worker and is retried.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns options of a local activity.
pub(crate) fn local() -> LocalActivityOptions {
    LocalActivityOptions::builder()
        .start_to_close_timeout(LOCAL_TIMEOUT)
        .retry_policy(retry())
        .timer_backoff_threshold(Duration::from_secs(1))
        .build()
}

/// Returns options of a regular activity.
pub(crate) fn regular(timeout: Duration) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(timeout)
        .retry_policy(retry())
        .build()
}

/// Returns options of a scheduled activity that reports heartbeats.
pub(crate) fn beating(timeout: Duration) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(timeout)
        .heartbeat_timeout(HEARTBEAT_TIMEOUT)
        .retry_policy(retry())
        .build()
}

fn retry() -> RetryPolicy {
    RetryPolicy::builder()
        .initial_interval(Duration::from_millis(200))
        .backoff_coefficient(2.0)
        .maximum_interval(Duration::from_secs(30))
        .build()
}
