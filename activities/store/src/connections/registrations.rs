//! Secrets that verify a connection's notifications, and the count of notifications that failed verification.

use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use schemas::id::ConnectionId;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Connection;
use crate::{
    Store, StoreError,
    error::from_json,
    sweep::interval,
    vault::{DataKey, EncryptionContext},
};

/// Secret with the registration that it belongs to.
#[derive(Clone, Debug)]
pub struct Registration {
    pub id: Uuid,
    /// The gateway's id of the registration. `None`: stored before the gateway received it, and not confirmed.
    pub gateway_id: Option<String>,
    pub secret: SecretString,
    /// End of validity of a former secret. `None`: the current one.
    pub valid_until: Option<DateTime<Utc>>,
}

/// Length of our tokens in bytes.
const TOKEN_BYTES: usize = 32;
/// Maximum number of secrets of a connection that are valid at a time.
pub(super) const LIMIT: i64 = 50;

fn place(merchant: Uuid, id: Uuid) -> EncryptionContext {
    EncryptionContext::new(merchant, "notification_registrations", "secret_sealed", id)
}

/// Returns a new token.
pub fn new_token() -> SecretString {
    let mut bytes = [0; TOKEN_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes).into()
}

/// Registration as selected in JSON.
#[derive(Deserialize)]
struct SealedRegistration {
    id: Uuid,
    gateway_id: Option<String>,
    /// In hexadecimal digits.
    secret: String,
    valid_until: Option<DateTime<Utc>>,
}

/// Opens registrations that were selected as a JSON array. `None` is an empty one.
pub(super) fn read_all(
    key: &DataKey,
    merchant: Uuid,
    rows: Option<Value>,
) -> Result<Vec<Registration>, StoreError> {
    let corrupt = |why: &dyn std::fmt::Display| {
        StoreError::corrupt("notification_registrations.secret_sealed", why)
    };
    let rows: Vec<SealedRegistration> = match rows {
        Some(rows) => from_json("notification_registrations", rows)?,
        None => Vec::new(),
    };
    let opened = rows.into_iter().map(|row| {
        let sealed = hex::decode(&row.secret).map_err(|why| corrupt(&why))?;
        let plain = key.open(&place(merchant, row.id), &sealed)?;
        let secret = std::str::from_utf8(&plain).map_err(|why| corrupt(&why))?;
        Ok(Registration {
            id: row.id,
            gateway_id: row.gateway_id,
            secret: secret.into(),
            valid_until: row.valid_until,
        })
    });
    opened.collect()
}

/// Returns the secrets that are valid now, newest first.
pub async fn proving(
    db: &mut PgConnection,
    store: &Store,
    connection: ConnectionId,
) -> Result<Vec<Registration>, StoreError> {
    let rows = sqlx::query!(
        "select id, merchant_id, gateway_id, secret_sealed, valid_until from notification_registrations
          where connection_id = $1 and (valid_until is null or valid_until > app_now())
          order by id desc limit $2",
        connection.uuid(),
        LIMIT,
    )
    .fetch_all(&mut *db)
    .await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let key = store.merchant_key(db, row.merchant_id).await?;
        let plain = key.open(&place(row.merchant_id, row.id), &row.secret_sealed)?;
        let secret = std::str::from_utf8(&plain)
            .map_err(|why| StoreError::corrupt("notification_registrations.secret_sealed", why))?;
        all.push(Registration {
            id: row.id,
            gateway_id: row.gateway_id,
            secret: secret.into(),
            valid_until: row.valid_until,
        });
    }
    Ok(all)
}

/// Stores a secret, which is valid from now on. `gateway_id` is the id of its registration, if already known.
pub async fn add(
    db: &mut PgConnection,
    store: &Store,
    of: &Connection,
    (secret, gateway_id): (&SecretString, Option<&str>),
) -> Result<Uuid, StoreError> {
    let (id, merchant) = (crate::new_id(), of.merchant.uuid());
    let key = store.merchant_key(db, merchant).await?;
    let sealed = key.seal(&place(merchant, id), secret.expose_secret().as_bytes());
    sqlx::query!(
        "insert into notification_registrations (id, connection_id, merchant_id, mode, gateway_id, secret_sealed)
         values ($1, $2, $3, $4, $5, $6)",
        id,
        of.id.uuid(),
        merchant,
        of.mode.as_ref(),
        gateway_id,
        sealed,
    )
    .execute(db)
    .await?;
    Ok(id)
}

/// Makes a secret the current one, with the id of its registration. Former secrets stay valid for `overlap`.
pub async fn confirm(
    db: &mut PgConnection,
    connection: ConnectionId,
    (id, gateway_id): (Uuid, &str),
    overlap: TimeDelta,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update notification_registrations
            set gateway_id = case when id = $2 then $3 else gateway_id end,
                valid_until = case when id <> $2 then coalesce(valid_until, app_now() + $4::interval) end
          where connection_id = $1",
        connection.uuid(),
        id,
        gateway_id,
        interval(overlap),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Counts a notification that failed verification. Returns true if `most` arrived within `within` and our address must be registered again,
/// at most once per `rest`.
pub async fn unproved(
    db: &mut PgConnection,
    connection: ConnectionId,
    most: i32,
    (within, rest): (TimeDelta, TimeDelta),
) -> Result<bool, StoreError> {
    let count = sqlx::query_scalar!(
        "update gateway_connections
            set unproved = case when unproved_since > app_now() - $2::interval then unproved + 1 else 1 end,
                unproved_since = case when unproved_since > app_now() - $2::interval then unproved_since else app_now() end
          where id = $1 returning unproved",
        connection.uuid(),
        interval(within),
    )
    .fetch_one(&mut *db)
    .await?;
    if count < most {
        return Ok(false);
    }
    let claimed = sqlx::query!(
        "update gateway_connections set reregistered_at = app_now(), register_at = app_now() + interval '10 minutes', unproved = 0, unproved_since = null
          where id = $1 and status <> 'archived' and unproved >= $2
            and (reregistered_at is null or reregistered_at < app_now() - $3::interval)",
        connection.uuid(),
        most,
        interval(rest),
    )
    .execute(db)
    .await?;
    Ok(claimed.rows_affected() == 1)
}

/// Clears the request to register our address again after it was registered.
pub async fn registered(db: &mut PgConnection, connection: ConnectionId) -> Result<(), StoreError> {
    sqlx::query!(
        "update gateway_connections set register_at = null where id = $1",
        connection.uuid()
    )
    .execute(db)
    .await?;
    Ok(())
}
