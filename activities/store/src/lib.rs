#![doc = include_str!("../README.md")]

use std::{str::FromStr, sync::Arc, time::Duration};

use moka::sync::Cache;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
pub use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

pub mod api_keys;
pub mod attempts;
pub mod audit;
pub mod breakers;
pub mod chance;
pub mod charges;
pub mod connection_alerts;
pub mod connections;
pub mod deliveries;
pub mod disputes;
pub mod error;
pub mod events;
pub mod idempotency;
pub mod listen;
pub mod merchants;
pub mod migrations;
pub mod notification_tokens;
pub mod notifications;
pub mod observations;
pub mod outbox;
pub mod page;
pub mod partitions;
pub mod payers;
pub mod payments;
pub mod policies;
pub mod refunds;
pub mod sweep;
#[cfg(test)]
mod testing;
pub mod timeline;
mod transaction;
pub mod vault;
pub mod webhook_endpoints;

pub use chance::{chance, new_id};
pub use error::StoreError;
use vault::DataKey;

/// A connection of the pool; given back when dropped.
pub type PoolConnection = sqlx::pool::PoolConnection<sqlx::Postgres>;

/// An open transaction, by [`Store::begin`]: rolled back unless committed.
pub type Tx = sqlx::Transaction<'static, sqlx::Postgres>;

/// The migrations, applied by `orchestrator migrate`.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// How long a call waits for a free connection before it fails.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// No statement of ours takes longer than this, unless something is wrong.
const STATEMENT_TIMEOUT_MS: &str = "15000";
/// A process that was stopped in the middle of a transaction gives its locks back after this.
const IDLE_IN_TRANSACTION_TIMEOUT_MS: &str = "30000";
/// How many merchants' keys are kept open in memory.
const OPEN_KEYS: u64 = 10_000;

/// The database and the keys that open what is sealed in it.
#[derive(Clone)]
pub struct Store {
    pub pool: PgPool,
    master: DataKey,
    keys: Arc<Cache<Uuid, DataKey>>,
}

impl Store {
    /// Connects. Fails if the database cannot be reached.
    pub async fn connect(
        url: &str,
        master: DataKey,
        max_connections: u32,
    ) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?
            .application_name("payment-orchestrator")
            .options([
                ("statement_timeout", STATEMENT_TIMEOUT_MS),
                (
                    "idle_in_transaction_session_timeout",
                    IDLE_IN_TRANSACTION_TIMEOUT_MS,
                ),
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .connect_with(options)
            .await?;
        Ok(Self::new(pool, master))
    }

    /// A store on an open pool.
    pub fn new(pool: PgPool, master: DataKey) -> Self {
        Self {
            pool,
            master,
            keys: Arc::new(Cache::new(OPEN_KEYS)),
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut db = self.pool.acquire().await?;
        sqlx::query!(r#"select 1 as "one!""#)
            .fetch_one(&mut *db)
            .await?;
        Ok(())
    }

    /// The key that wraps merchants' keys.
    pub fn master(&self) -> &DataKey {
        &self.master
    }

    /// A merchant's data key, opened once and kept in memory.
    pub async fn merchant_key(
        &self,
        db: &mut PgConnection,
        merchant: Uuid,
    ) -> Result<DataKey, StoreError> {
        if let Some(key) = self.keys.get(&merchant) {
            return Ok(key);
        }
        let wrapped = merchants::data_key(db, merchant).await?;
        let key = self
            .master
            .unwrap(&merchants::key_place(merchant), &wrapped)?;
        self.keys.insert(merchant, key.clone());
        Ok(key)
    }
}

/// PostgreSQL's clock.
pub async fn now(db: &mut PgConnection) -> Result<chrono::DateTime<chrono::Utc>, StoreError> {
    Ok(sqlx::query_scalar!(r#"select app_now() as "now!""#)
        .fetch_one(db)
        .await?)
}
