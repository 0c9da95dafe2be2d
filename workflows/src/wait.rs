//! Waiting for the time or for a wake, whichever is first.

use std::time::Duration;

use temporalio_sdk::{TimerOptions, WorkflowContext};

/// A workflow that can be woken.
pub(crate) trait Wakeable {
    /// Whether it was woken since its last sync.
    fn is_woken(&self) -> bool;
    /// The wake is being answered.
    fn forget(&mut self);
}

/// Waits; not at all for nothing. Returns whether it was woken, which is then answered for: a wake ends one wait and no more.
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
