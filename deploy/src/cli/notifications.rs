//! Reading kept notifications again.

use std::time::Duration;

use schemas::{Instant, id::ConnectionId};
use store::notifications::kept::Filter;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use workflows::Temporal;

use super::say;
use crate::{
    Config,
    start::{activities, open_store},
};

/// How long Temporal may take to answer; without it the sweep has the charges looked at.
const TEMPORAL_WITHIN: Duration = Duration::from_secs(5);

/// Reads kept bodies again, as if their gateways told them anew.
pub(super) async fn replay(
    config: &Config,
    connection: Option<ConnectionId>,
    since: Option<Instant>,
    unreadable: bool,
) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let tracker = TaskTracker::new();
    let temporal = Temporal::connect(
        config.temporal(),
        config.queues(),
        &tracker,
        &CancellationToken::new(),
    );
    if tokio::time::timeout(TEMPORAL_WITHIN, temporal.client())
        .await
        .is_err()
    {
        tracing::warn!("Temporal is away: the sweep will have the charges looked at");
    }
    let activities = activities(config, config.timing(), &store, &temporal)?;
    let filter = Filter {
        connection,
        since,
        unreadable,
    };
    let replayed = activities.replay(&filter).await?;
    say(&format!(
        "{} read again, {} not readable",
        replayed.read, replayed.unreadable
    ))
}
