//! Which migrations a database has.

use sqlx::{Connection, Executor, PgConnection, migrate::Migrate};

use crate::{MIGRATIONS, StoreError};

/// The migrations that this version needs and the database lacks, by version and name.
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

/// Creates an empty database on the server of `url`: for tests, each of which has one of its own.
pub async fn create_database(url: &str, name: &str) -> Result<(), StoreError> {
    let mut db = PgConnection::connect(url).await?;
    db.execute(sqlx::AssertSqlSafe(format!("create database \"{name}\"")))
        .await?;
    db.close().await?;
    Ok(())
}
