//! Options of activities. Activities fail only if our own infrastructure fails; all other outcomes are results. So all are retried without
//! limit, with short intervals at first.

use std::time::Duration;

use activities::retry::workflow::{
    FAILED_FACTOR, FAILED_FIRST, FAILED_MAX, FAILED_TIMER_FROM, HEARTBEAT_TIMEOUT, LOCAL_TIMEOUT,
};
use temporalio_common::RetryPolicy;
use temporalio_sdk::{ActivityOptions, LocalActivityOptions};

/// Returns options of a local activity.
pub(crate) fn local() -> LocalActivityOptions {
    LocalActivityOptions::builder()
        .start_to_close_timeout(LOCAL_TIMEOUT)
        .retry_policy(retry())
        .timer_backoff_threshold(FAILED_TIMER_FROM)
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
        .initial_interval(FAILED_FIRST)
        .backoff_coefficient(FAILED_FACTOR)
        .maximum_interval(FAILED_MAX)
        .build()
}
