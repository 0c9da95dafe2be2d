//! Database migrations: applies them and lists the missing ones.

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection,
    migrate::{Migrate, MigrateError, Migrator},
    postgres::PgConnectOptions,
};

use crate::{MIGRATIONS, StoreError};

/// Maximum wait for a lock. Row changes may take any time, but every query on the same table queues behind a migration that waits for its
/// lock.
const LOCK_TIMEOUT: &str = "2s";
/// Maximum number of retries while a lock is held or another process migrates.
const TRIES: u32 = 300;
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Advisory lock of a migrating process. It is polled: a statement that waits for it would hold a snapshot, and `create index concurrently`
/// in the process that holds the lock would wait for that snapshot.
const LOCK: i64 = 0x6f72_6368_6d69_6772;
/// PostgreSQL's error code for a lock that was not acquired in time.
pub(crate) const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Applies all migrations to the database at `url`, without the product's statement timeout.
pub async fn run(url: &str) -> Result<(), StoreError> {
    apply(url, &MIGRATIONS).await
}

/// Applies `migrations`, each in one transaction. A migration that does not acquire its locks in time is rolled back and retried.
pub async fn apply(url: &str, migrations: &Migrator) -> Result<(), StoreError> {
    let mut migrator = Migrator::with_migrations(migrations.iter().cloned().collect());
    migrator.set_locking(false);
    let mut tries = 0;
    loop {
        match apply_once(url, &migrator).await {
            Ok(true) => return Ok(()),
            Ok(false) if tries < TRIES => tracing::info!("another process migrates the database"),
            Err(error) if tries < TRIES && is_locked(&error) => {
                tracing::warn!(%error, "a migration waits for its lock");
            }
            Ok(false) => return Err(StoreError::Busy("another process migrates the database")),
            Err(error) => return Err(error.into()),
        }
        tries += 1;
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// Applies the missing migrations. Returns false if another process is migrating.
async fn apply_once(url: &str, migrator: &Migrator) -> Result<bool, MigrateError> {
    let mut db = PgConnectOptions::from_str(url)?
        .application_name("payment-orchestrator-migrate")
        .options([
            ("statement_timeout", "0"),
            ("idle_in_transaction_session_timeout", "0"),
            ("lock_timeout", LOCK_TIMEOUT),
        ])
        .connect()
        .await?;
    let is_mine = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "mine!""#, LOCK)
        .fetch_one(&mut db)
        .await?;
    if is_mine {
        migrator.run(&mut db).await?;
    }
    db.close().await?;
    Ok(is_mine)
}

fn is_locked(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

/// Returns version and name of the migrations that this version needs and the database lacks.
pub async fn pending(db: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let table = "_sqlx_migrations";
    db.ensure_migrations_table(table).await?;
    let applied = db.list_applied_migrations(table).await?;
    let missing = MIGRATIONS
        .iter()
        .filter(|migration| migration.migration_type.is_up_migration())
        .filter(|migration| {
            !applied
                .iter()
                .any(|applied| applied.version == migration.version)
        })
        .map(|migration| format!("{} {}", migration.version, migration.description));
    Ok(missing.collect())
}

/// Creates an empty database on the server of `url`. Tests use it: each has its own database.
pub async fn create_database(url: &str, name: &str) -> Result<(), StoreError> {
    let mut db = PgConnection::connect(url).await?;
    db.execute(sqlx::AssertSqlSafe(format!("create database \"{name}\"")))
        .await?;
    db.close().await?;
    Ok(())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod values;
