//! Heartbeats of long activities.

use crate::retry::heartbeat::HEARTBEAT_EVERY;
use temporalio_sdk::activities::ActivityContext;

/// Reports that a long activity is alive, until its future is dropped.
pub(crate) async fn heartbeats<T>(ctx: &ActivityContext) -> T {
    loop {
        tokio::time::sleep(HEARTBEAT_EVERY).await;
        if let Err(error) = ctx.record_heartbeat(()).await {
            tracing::warn!(%error, "no heartbeat");
        }
    }
}
