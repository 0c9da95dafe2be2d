//! Merchants' accounts at gateways. They are never deleted; their credentials are sealed in versions.

use schemas::{
    connection::ConnectionStatus,
    gateway::{GatewayApi, GatewayKind, Mode},
    id::{ConnectionId, MerchantId},
};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    error::parse,
    vault::{self, EncryptionContext},
};

pub mod addresses;
pub mod checks;
pub mod feeds;
pub mod registrations;

/// Connection without its secrets.
#[derive(Clone, Debug)]
pub struct Connection {
    pub id: ConnectionId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub gateway: GatewayKind,
    pub label: String,
    pub status: ConnectionStatus,
    /// Identifies the account at the gateway.
    pub fingerprint: String,
}

/// Connection to insert.
#[derive(Debug)]
pub struct NewConnection<'a> {
    pub id: ConnectionId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub gateway: GatewayKind,
    pub label: &'a str,
    pub fingerprint: &'a str,
    pub credentials: &'a Value,
    pub apis: &'a [GatewayApi],
    /// True if the merchant agreed that our address replaces that of a third party at the gateway.
    pub replace_address: bool,
}

fn credentials_place(merchant: Uuid, connection: Uuid) -> EncryptionContext {
    EncryptionContext::new(merchant, "gateway_credentials", "sealed", connection)
}

/// Inserts a connection with the first version of its credentials, its breakers, and a new secret for its notification path. Fails with
/// `gateway_connections_merchant_id_mode_label_key` if the label is taken.
pub async fn insert(
    db: &mut PgConnection,
    store: &Store,
    new: &NewConnection<'_>,
) -> Result<SecretString, StoreError> {
    let merchant = new.merchant.uuid();
    let key = store.merchant_key(db, merchant).await?;
    let secret = addresses::new_secret();
    sqlx::query!(
        "insert into gateway_connections (id, merchant_id, mode, gateway, label, fingerprint, path_secret_sealed,
                                          path_secret_hashes, replace_address)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        new.id.uuid(),
        merchant,
        new.mode.as_ref(),
        new.gateway.as_ref(),
        new.label,
        new.fingerprint,
        key.seal(&addresses::path_secret_place(merchant, new.id.uuid()), secret.as_bytes()),
        &[vault::fingerprint(&secret).to_vec()],
        new.replace_address,
    )
    .execute(&mut *db)
    .await?;
    for api in new.apis {
        sqlx::query!(
            "insert into circuit_breakers (connection_id, merchant_id, mode, api) values ($1, $2, $3, $4)",
            new.id.uuid(),
            merchant,
            new.mode.as_ref(),
            api.as_ref(),
        )
        .execute(&mut *db)
        .await?;
    }
    add_credentials(db, store, new.id, new.credentials).await?;
    Ok(secret.into())
}

/// Adds a version of a connection's credentials, which is used from now on. Returns its number.
pub async fn add_credentials(
    db: &mut PgConnection,
    store: &Store,
    id: ConnectionId,
    credentials: &Value,
) -> Result<i32, StoreError> {
    let owner = sqlx::query!(
        "select merchant_id, mode from gateway_connections where id = $1 for update",
        id.uuid()
    )
    .fetch_one(&mut *db)
    .await?;
    let key = store.merchant_key(db, owner.merchant_id).await?;
    let sealed = key.seal(
        &credentials_place(owner.merchant_id, id.uuid()),
        credentials.to_string().as_bytes(),
    );
    Ok(sqlx::query_scalar!(
        "insert into gateway_credentials (connection_id, merchant_id, mode, version, sealed)
         select $1, $2, $3, coalesce(max(version), 0) + 1, $4 from gateway_credentials where connection_id = $1
         returning version",
        id.uuid(),
        owner.merchant_id,
        owner.mode,
        sealed,
    )
    .fetch_one(db)
    .await?)
}

/// Locks a connection until the transaction ends.
pub async fn lock(
    db: &mut PgConnection,
    id: ConnectionId,
) -> Result<Option<Connection>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select id, merchant_id, mode, gateway, label, status, fingerprint from gateway_connections where id = $1 for update",
        id.uuid(),
    )
    .fetch_optional(db)
    .await?;
    row.map(Row::read).transpose()
}

/// Returns the newest version of a connection's credentials, unsealed.
pub async fn credentials(
    db: &mut PgConnection,
    store: &Store,
    id: ConnectionId,
) -> Result<(i32, Value), StoreError> {
    let row = sqlx::query!(
        "select merchant_id, version, sealed from gateway_credentials where connection_id = $1 order by version desc limit 1",
        id.uuid(),
    )
    .fetch_one(&mut *db)
    .await?;
    let key = store.merchant_key(db, row.merchant_id).await?;
    let plain = key.open(&credentials_place(row.merchant_id, id.uuid()), &row.sealed)?;
    let json = serde_json::from_slice(&plain)
        .map_err(|_| StoreError::corrupt("gateway_credentials.sealed", "not JSON"))?;
    Ok((row.version, json))
}

/// Returns the number of the newest version of a connection's credentials.
pub async fn credential_version(
    db: &mut PgConnection,
    id: ConnectionId,
) -> Result<i32, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select max(version) as "version!" from gateway_credentials where connection_id = $1"#,
        id.uuid(),
    )
    .fetch_one(db)
    .await?)
}

struct Row {
    id: Uuid,
    merchant_id: Uuid,
    mode: String,
    gateway: String,
    label: String,
    status: String,
    fingerprint: String,
}

impl Row {
    fn read(self) -> Result<Connection, StoreError> {
        Ok(Connection {
            id: self.id.into(),
            merchant: self.merchant_id.into(),
            mode: parse("gateway_connections.mode", &self.mode)?,
            gateway: parse("gateway_connections.gateway", &self.gateway)?,
            label: self.label,
            status: parse("gateway_connections.status", &self.status)?,
            fingerprint: self.fingerprint,
        })
    }
}

pub async fn find(
    db: &mut PgConnection,
    id: ConnectionId,
) -> Result<Option<Connection>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select id, merchant_id, mode, gateway, label, status, fingerprint from gateway_connections where id = $1",
        id.uuid(),
    )
    .fetch_optional(db)
    .await?;
    row.map(Row::read).transpose()
}

/// Returns the merchant's connection in that mode with that account at a gateway, unless it is archived. Locks the account until the
/// transaction ends, so that no other transaction adds it.
pub async fn of_account(
    db: &mut PgConnection,
    (merchant, mode): (MerchantId, Mode),
    fingerprint: &str,
) -> Result<Option<Connection>, StoreError> {
    let account = format!("{merchant}/{mode}/{fingerprint}");
    sqlx::query!(
        r#"select pg_advisory_xact_lock(hashtextextended($1, 0)) as "locked: String""#,
        account
    )
    .fetch_one(&mut *db)
    .await?;
    let row = sqlx::query_as!(
        Row,
        "select id, merchant_id, mode, gateway, label, status, fingerprint from gateway_connections
          where merchant_id = $1 and mode = $2 and fingerprint = $3 and status <> 'archived' order by id limit 1",
        merchant.uuid(),
        mode.as_ref(),
        fingerprint,
    )
    .fetch_optional(db)
    .await?;
    row.map(Row::read).transpose()
}

/// Returns a merchant's connections in a mode, oldest first.
pub async fn list(
    db: &mut PgConnection,
    merchant: MerchantId,
    mode: Mode,
) -> Result<Vec<Connection>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select id, merchant_id, mode, gateway, label, status, fingerprint
           from gateway_connections where merchant_id = $1 and mode = $2 order by id",
        merchant.uuid(),
        mode.as_ref(),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Row::read).collect()
}

/// Sets a connection's status.
pub async fn set_status(
    db: &mut PgConnection,
    id: ConnectionId,
    status: ConnectionStatus,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update gateway_connections set status = $2 where id = $1",
        id.uuid(),
        status.as_ref()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Returns the number of charges with an instrument on this connection that may still be paid.
pub async fn count_payable(db: &mut PgConnection, id: ConnectionId) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "count!" from attempts
            where connection_id = $1 and state in ('open', 'presented', 'abandoned')
              and exists (select from charges where charges.id = attempts.charge_id
                                                and status in ('processing', 'pending', 'overdue'))"#,
        id.uuid(),
    )
    .fetch_one(db)
    .await?)
}

#[cfg(test)]
mod tests;
