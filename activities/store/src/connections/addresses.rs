//! Notification addresses of connections: the secret in our address, and the address that ours replaced.

use rand::Rng;
use schemas::id::ConnectionId;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{
    Connection, Row,
    registrations::{self, Registration},
};
use crate::{
    Store, StoreError,
    vault::{self, EncryptionContext},
};

const PATH_SECRET_BYTES: usize = 24;

pub mod rotation;

/// Returns a new secret for a notification path.
pub(super) fn new_secret() -> String {
    let mut bytes = [0; PATH_SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

pub(super) fn path_secret_place(merchant: Uuid, connection: Uuid) -> EncryptionContext {
    EncryptionContext::new(
        merchant,
        "gateway_connections",
        "path_secret_sealed",
        connection,
    )
}

fn former_address_place(merchant: Uuid, connection: Uuid) -> EncryptionContext {
    EncryptionContext::new(
        merchant,
        "gateway_connections",
        "former_address_sealed",
        connection,
    )
}

/// Returns the newest secret of a connection's notification path.
pub async fn path_secret(
    db: &mut PgConnection,
    store: &Store,
    id: ConnectionId,
) -> Result<SecretString, StoreError> {
    let row = sqlx::query!(
        "select merchant_id, path_secret_sealed from gateway_connections where id = $1",
        id.uuid()
    )
    .fetch_one(&mut *db)
    .await?;
    let key = store.merchant_key(db, row.merchant_id).await?;
    let plain = key.open(
        &path_secret_place(row.merchant_id, id.uuid()),
        &row.path_secret_sealed,
    )?;
    let text = std::str::from_utf8(&plain)
        .map_err(|why| StoreError::corrupt("path_secret_sealed", why))?;
    Ok(SecretString::from(text))
}

/// Stores the address that ours replaced at the gateway.
pub async fn remember_former(
    db: &mut PgConnection,
    store: &Store,
    id: ConnectionId,
    address: &str,
) -> Result<(), StoreError> {
    let merchant = sqlx::query_scalar!(
        "select merchant_id from gateway_connections where id = $1",
        id.uuid()
    )
    .fetch_one(&mut *db)
    .await?;
    let key = store.merchant_key(db, merchant).await?;
    let sealed = key.seal(
        &former_address_place(merchant, id.uuid()),
        address.as_bytes(),
    );
    sqlx::query!(
        "update gateway_connections set former_address_sealed = $2 where id = $1",
        id.uuid(),
        sealed,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Returns the address that ours replaced, if any.
pub async fn former(
    db: &mut PgConnection,
    store: &Store,
    id: ConnectionId,
) -> Result<Option<String>, StoreError> {
    let row = sqlx::query!(
        "select merchant_id, former_address_sealed from gateway_connections where id = $1",
        id.uuid()
    )
    .fetch_one(&mut *db)
    .await?;
    let Some(sealed) = row.former_address_sealed else {
        return Ok(None);
    };
    let key = store.merchant_key(db, row.merchant_id).await?;
    let plain = key.open(&former_address_place(row.merchant_id, id.uuid()), &sealed)?;
    let text = String::from_utf8(plain.to_vec());
    Ok(Some(text.map_err(|why| {
        StoreError::corrupt("former_address_sealed", why)
    })?))
}

/// Connection that a notification was sent to, with all that verifies it.
#[derive(Clone, Debug)]
pub struct AddressedConnection {
    pub connection: Connection,
    /// Newest version of its credentials.
    pub credential_version: i32,
    /// Secrets that are valid now, newest first.
    pub registrations: Vec<Registration>,
}

/// Returns the connection if the path's secret is valid for it: the newest one, or a former one that has not expired.
pub async fn by_path_secret(
    db: &mut PgConnection,
    store: &Store,
    id: ConnectionId,
    secret: &SecretString,
) -> Result<Option<AddressedConnection>, StoreError> {
    let row = sqlx::query!(
        r#"select c.id, c.merchant_id, c.mode, c.gateway, c.label, c.status, c.fingerprint,
                  c.path_secret_hashes
                  || array(select hash from former_path_secrets
                            where connection_id = $1 and (expires_at is null or expires_at > app_now())) as "hashes!",
                  (select max(version) from gateway_credentials where connection_id = c.id) as "credential_version!",
                  (select jsonb_agg(to_jsonb(registration) order by id desc)
                     from (select id, gateway_id, encode(secret_sealed, 'hex') as secret, valid_until
                             from notification_registrations
                            where connection_id = $1 and (valid_until is null or valid_until > app_now())
                            order by id desc limit $2) registration) as registrations
             from gateway_connections c where c.id = $1"#,
        id.uuid(),
        registrations::LIMIT,
    )
    .fetch_optional(&mut *db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let given = vault::fingerprint(secret.expose_secret());
    let known = row.hashes.iter().any(|hash| bool::from(hash.ct_eq(&given)));
    if !known {
        return Ok(None);
    }
    let key = store.merchant_key(db, row.merchant_id).await?;
    Ok(Some(AddressedConnection {
        registrations: registrations::read_all(&key, row.merchant_id, row.registrations)?,
        credential_version: row.credential_version,
        connection: Row {
            id: row.id,
            merchant_id: row.merchant_id,
            mode: row.mode,
            gateway: row.gateway,
            label: row.label,
            status: row.status,
            fingerprint: row.fingerprint,
        }
        .read()?,
    }))
}
