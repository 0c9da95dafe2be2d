//! Replay of stored notifications.

use schemas::{Instant, id::ConnectionId};
use store::notifications::raw::RawFilter;

use super::{print_line, working};
use crate::Config;

/// Replays stored notifications and prints the number of readable and unreadable ones.
pub(super) async fn replay(
    config: &Config,
    connection: Option<ConnectionId>,
    since: Option<Instant>,
    unreadable: bool,
) -> anyhow::Result<()> {
    let activities = working(config).await?;
    let filter = RawFilter {
        connection,
        since,
        unreadable,
    };
    let replayed = activities.replay(&filter).await?;
    print_line(&format!(
        "{} read again, {} not readable",
        replayed.read, replayed.unreadable
    ))
}
