//! Waiting for the time or for a poke, whichever is first.

use std::time::Duration;

use temporalio_sdk::{TimerOptions, WorkflowContext};

/// A workflow that can be poked.
pub(crate) trait Poked {
    /// Whether it was, since it last looked.
    fn is_poked(&self) -> bool;
}

/// Waits; not at all for nothing.
pub(crate) async fn wait<W: Poked>(ctx: &WorkflowContext<W>, after_ms: u64) {
    if after_ms == 0 {
        return;
    }
    let loser = ctx.cancellation_token().child_token();
    let timer = TimerOptions::builder(Duration::from_millis(after_ms))
        .cancellation_token(loser.clone())
        .build();
    temporalio_sdk::workflows::select! {
        _ = ctx.timer(timer) => {}
        _ = ctx.wait_condition(|s: &W| s.is_poked()) => { loser.cancel_with_reason("poked"); }
    }
}
