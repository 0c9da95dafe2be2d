#![doc = include_str!("../README.md")]

use std::{str::FromStr, sync::Arc, time::Duration};

use moka::sync::Cache;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
pub use sqlx::{Error as SqlError, PgConnection, PgPool};
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
pub mod gateway_objects;
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
pub mod refunds;
pub mod routing;
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

/// Connection of the pool. Dropping it returns it to the pool.
pub type PoolConnection = sqlx::pool::PoolConnection<sqlx::Postgres>;

/// Open transaction of [`Store::begin`]. It is rolled back unless it is committed.
pub type Tx = sqlx::Transaction<'static, sqlx::Postgres>;

/// Migrations that `orchestrator migrate` applies.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Maximum time that a call waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum duration of a statement in milliseconds. No statement of ours takes longer in normal operation.
const STATEMENT_TIMEOUT_MS: &str = "15000";
/// Time in milliseconds after which the locks of a process that stopped in the middle of a transaction are released.
const IDLE_IN_TRANSACTION_TIMEOUT_MS: &str = "30000";
/// Maximum number of merchants' keys in the memory cache.
const OPEN_KEYS: u64 = 10_000;

/// Database pool and the keys that open its sealed values.
#[derive(Clone)]
pub struct Store {
    pub pool: PgPool,
    master: DataKey,
    keys: Arc<Cache<Uuid, DataKey>>,
}

impl Store {
    /// Connects to the database. Fails if it cannot be reached.
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

    /// Creates a store on an existing pool.
    pub fn new(pool: PgPool, master: DataKey) -> Self {
        Self {
            pool,
            master,
            keys: Arc::new(Cache::new(OPEN_KEYS)),
        }
    }

    /// Fails if the database does not respond.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut db = self.pool.acquire().await?;
        sqlx::query!(r#"select 1 as "one!""#)
            .fetch_one(&mut *db)
            .await?;
        Ok(())
    }

    /// Returns the key that wraps merchants' keys.
    pub fn master(&self) -> &DataKey {
        &self.master
    }

    /// Returns a merchant's data key. It is unwrapped once and cached.
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

/// Returns PostgreSQL's current time.
pub async fn now(db: &mut PgConnection) -> Result<chrono::DateTime<chrono::Utc>, StoreError> {
    Ok(sqlx::query_scalar!(r#"select app_now() as "now!""#)
        .fetch_one(db)
        .await?)
}
