//! Waits that end at a time or at a wake, whichever is first.

use std::time::Duration;

use temporalio_sdk::{TimerOptions, WorkflowContext};

/// Workflow that can be woken.
pub(crate) trait Wakeable {
    /// Returns true if it was woken since its last sync.
    fn is_woken(&self) -> bool;
    /// Clears the wake, because it is being handled.
    fn forget(&mut self);
}

/// Waits for `after_ms`, or returns immediately if it is zero. Returns true if the workflow was woken. The wake is then cleared: it ends
/// only one wait.
pub(crate) async fn wait<W: Wakeable>(ctx: &mut WorkflowContext<W>, after_ms: u64) -> bool {
    if after_ms == 0 {
        return false;
    }
    let loser = ctx.cancellation_token().child_token();
    let timer = TimerOptions::builder(Duration::from_millis(after_ms))
        .cancellation_token(loser.clone())
        .build();
    temporalio_sdk::workflows::select! {
        _ = ctx.timer(timer) => {}
        _ = ctx.wait_condition(|s: &W| s.is_woken()) => { loser.cancel_with_reason("woken"); }
    }
    let woken = ctx.state(Wakeable::is_woken);
    if woken {
        ctx.state_mut(Wakeable::forget);
    }
    woken
}
