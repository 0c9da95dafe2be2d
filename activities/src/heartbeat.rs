//! Heartbeats of long activities.

use std::time::Duration;

use temporalio_sdk::activities::ActivityContext;

/// Heartbeat interval of scheduled activities: one that was lost with its worker, or whose end Temporal did not receive, is retried soon.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);

/// Reports that a long activity is alive, until its future is dropped.
pub(crate) async fn heartbeats<T>(ctx: &ActivityContext) -> T {
    loop {
        tokio::time::sleep(HEARTBEAT_EVERY).await;
        if let Err(error) = ctx.record_heartbeat(()).await {
            tracing::warn!(%error, "no heartbeat");
        }
    }
}
