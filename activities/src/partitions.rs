//! Partitions of the next months, created before any row needs them.

use std::sync::Arc;

use store::{StoreError, partitions};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::Activities;

/// Activity of the schedule that creates partitions.
pub struct PartitionActivities(pub Arc<Activities>);

#[activities]
impl PartitionActivities {
    /// Creates partitions in advance.
    #[activity(name = "create_partitions")]
    pub async fn create_partitions(
        self: Arc<Self>,
        _ctx: ActivityContext,
        _input: (),
    ) -> Result<(), ActivityError> {
        Ok(self.0.create_partitions().await?)
    }
}

impl Activities {
    /// Creates the partitions that are missing.
    pub async fn create_partitions(&self) -> Result<(), StoreError> {
        let mut db = self.store.pool.acquire().await?;
        // its transactions may be dropped half-way: the connection does not return to the pool
        db.close_on_drop();
        let created = partitions::ensure(&mut db).await?;
        if !created.is_empty() {
            tracing::info!(?created, "created partitions");
        }
        Ok(())
    }
}
