//! Raw notifications about no payer of ours, which nobody's erasure would reach: deleted after a while.

use std::time::Duration;

use store::{StoreError, notifications::raw};

use crate::{Activities, delta};

/// How long a raw notification that matched nothing is kept.
const KEPT_FOR: Duration = Duration::from_hours(24 * 90);
/// The most rows of one statement.
const PAGE: i64 = 1_000;
/// The most statements of one run; the next run goes on.
const PAGES: u32 = 20;

impl Activities {
    /// Deletes raw notifications that matched nothing and are older than 90 days.
    pub async fn delete_unmatched_notifications(&self) -> Result<(), StoreError> {
        let mut deleted = 0;
        for _ in 0..PAGES {
            let mut db = self.store.pool.acquire().await?;
            let page = raw::delete_unmatched(&mut db, delta(KEPT_FOR), PAGE).await?;
            deleted += page;
            if page < u64::try_from(PAGE).unwrap_or(u64::MAX) {
                break;
            }
        }
        if deleted > 0 {
            tracing::info!(deleted, "deleted raw notifications that matched nothing");
        }
        Ok(())
    }
}
