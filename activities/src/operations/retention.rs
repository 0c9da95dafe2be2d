//! Deletion of raw notifications that belong to no payer of ours, so that no payer's erasure covers them.

use store::{StoreError, notifications::raw};

use crate::retry::operations::KEPT_FOR;
use crate::{Activities, delta};

/// Maximum number of rows per statement.
const PAGE: i64 = 1_000;
/// Maximum number of statements per run; the next run continues.
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
