//! Which migrations a database has.

use sqlx::{PgConnection, migrate::Migrate};

use crate::{MIGRATIONS, StoreError};

/// The migrations that this version needs and the database lacks, by version and name.
pub async fn pending(db: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let table = "_sqlx_migrations";
    db.ensure_migrations_table(table).await?;
    let applied = db.list_applied_migrations(table).await?;
    let missing = MIGRATIONS
        .iter()
        .filter(|migration| migration.migration_type.is_up_migration())
        .filter(|migration| !applied.iter().any(|applied| applied.version == migration.version))
        .map(|migration| format!("{} {}", migration.version, migration.description));
    Ok(missing.collect())
}
