//! Objects of gateways that have no server of their own: test mode only, without personal data.

use serde_json::Value;
use sqlx::PgConnection;

use crate::StoreError;

/// Returns the object with that key.
pub async fn get(db: &mut PgConnection, key: &str) -> Result<Option<Value>, StoreError> {
    let found = sqlx::query_scalar!("select object from gateway_objects where key = $1", key);
    Ok(found.fetch_optional(db).await?)
}

/// Inserts an object. Returns false if the key is taken.
pub async fn insert(db: &mut PgConnection, key: &str, object: &Value) -> Result<bool, StoreError> {
    let inserted = sqlx::query!(
        "insert into gateway_objects (key, object) values ($1, $2) on conflict do nothing",
        key,
        object,
    )
    .execute(db)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Replaces an object if it is still `before`. Returns false if it is not.
pub async fn replace(
    db: &mut PgConnection,
    key: &str,
    before: &Value,
    after: &Value,
) -> Result<bool, StoreError> {
    let replaced = sqlx::query!(
        "update gateway_objects set object = $3, updated_at = app_now() where key = $1 and object = $2",
        key,
        before,
        after,
    )
    .execute(db)
    .await?;
    Ok(replaced.rows_affected() == 1)
}
