//! Rotation of the secret of a notification path. The former secret is valid until the gateway has the new address, and for some time
//! afterwards.

use chrono::TimeDelta;
use schemas::id::ConnectionId;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{new_secret, path_secret, path_secret_place};
use crate::{
    Store, StoreError,
    sweep::interval,
    vault::{self, EncryptionContext},
};

fn former_secret_place(merchant: Uuid, connection: Uuid) -> EncryptionContext {
    EncryptionContext::new(merchant, "former_path_secrets", "secret_sealed", connection)
}

/// Secret that was replaced.
#[derive(Debug)]
pub struct Former {
    connection: ConnectionId,
    hash: Vec<u8>,
    pub secret: SecretString,
}

/// Former secret that is due for a check. It is not unsealed, so that one that does not open delays no other.
#[derive(Debug)]
pub struct DueFormer {
    pub connection: ConnectionId,
    hash: Vec<u8>,
    pub checks: i32,
}

/// Replaces the secret of a locked connection. The former one is checked after `again`.
pub async fn rotate(
    db: &mut PgConnection,
    store: &Store,
    id: ConnectionId,
    again: TimeDelta,
) -> Result<(), StoreError> {
    let former = path_secret(db, store, id).await?;
    let secret = new_secret();
    let merchant = sqlx::query_scalar!(
        "select merchant_id from gateway_connections where id = $1",
        id.uuid()
    )
    .fetch_one(&mut *db)
    .await?;
    let key = store.merchant_key(db, merchant).await?;
    let former = former.expose_secret();
    let hash = vault::fingerprint(former);
    sqlx::query!(
        "insert into former_path_secrets (connection_id, hash, merchant_id, mode, secret_sealed, next_check_at)
         select id, $2, merchant_id, mode, $3, app_now() + $4::interval from gateway_connections where id = $1",
        id.uuid(),
        hash.as_slice(),
        key.seal(&former_secret_place(merchant, id.uuid()), former.as_bytes()),
        interval(again),
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "update gateway_connections set path_secret_sealed = $2, path_secret_hashes = $3 where id = $1",
        id.uuid(),
        key.seal(&path_secret_place(merchant, id.uuid()), secret.as_bytes()),
        &[vault::fingerprint(&secret).to_vec()],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Returns the former secrets of a connection whose new address is not confirmed at the gateway, oldest first.
pub async fn unconfirmed(
    db: &mut PgConnection,
    store: &Store,
    id: ConnectionId,
) -> Result<Vec<Former>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select connection_id, hash, merchant_id, secret_sealed from former_path_secrets
          where connection_id = $1 and expires_at is null order by replaced_at",
        id.uuid(),
    )
    .fetch_all(&mut *db)
    .await?;
    read(db, store, rows).await
}

/// Returns the former secrets that are due for a check, longest overdue first.
pub async fn due(db: &mut PgConnection, limit: i64) -> Result<Vec<DueFormer>, StoreError> {
    let rows = sqlx::query!(
        "select connection_id, hash, checks from former_path_secrets
          where next_check_at <= app_now() order by next_check_at limit $1",
        limit,
    )
    .fetch_all(db)
    .await?;
    let due = rows.into_iter().map(|row| DueFormer {
        connection: row.connection_id.into(),
        hash: row.hash,
        checks: row.checks,
    });
    Ok(due.collect())
}

struct Row {
    connection_id: Uuid,
    hash: Vec<u8>,
    merchant_id: Uuid,
    secret_sealed: Vec<u8>,
}

async fn read(
    db: &mut PgConnection,
    store: &Store,
    rows: Vec<Row>,
) -> Result<Vec<Former>, StoreError> {
    let mut former = Vec::with_capacity(rows.len());
    for row in rows {
        let key = store.merchant_key(db, row.merchant_id).await?;
        let place = former_secret_place(row.merchant_id, row.connection_id);
        let plain = key.open(&place, &row.secret_sealed)?;
        let secret = std::str::from_utf8(&plain)
            .map_err(|why| StoreError::corrupt("former_path_secrets.secret_sealed", why))?;
        former.push(Former {
            connection: row.connection_id.into(),
            hash: row.hash,
            secret: SecretString::from(secret),
        });
    }
    Ok(former)
}

/// Records that the gateway has the new address: the former secret stays valid for `overlap`.
pub async fn confirm(
    db: &mut PgConnection,
    former: &Former,
    overlap: TimeDelta,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update former_path_secrets set expires_at = app_now() + $3::interval, next_check_at = app_now() + $3::interval
          where connection_id = $1 and hash = $2 and expires_at is null",
        former.connection.uuid(),
        former.hash,
        interval(overlap),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Schedules the next registration after `pause`, because the gateway does not have the new address.
pub async fn postpone(
    db: &mut PgConnection,
    former: &DueFormer,
    pause: TimeDelta,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update former_path_secrets set next_check_at = app_now() + $3::interval, checks = checks + 1
          where connection_id = $1 and hash = $2",
        former.connection.uuid(),
        former.hash,
        interval(pause),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes the former secrets that have expired.
pub async fn forget_expired(db: &mut PgConnection) -> Result<u64, StoreError> {
    let done = sqlx::query!("delete from former_path_secrets where expires_at <= app_now()")
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}
