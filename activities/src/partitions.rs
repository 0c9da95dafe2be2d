//! Partitions of the next months, created before any row needs them.

use store::{StoreError, partitions};

use crate::Activities;

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
