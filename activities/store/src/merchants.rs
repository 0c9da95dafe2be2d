//! Merchants.

use chrono::{DateTime, Utc};
use schemas::{
    id::MerchantId,
    merchant::{MerchantSettings, MerchantStatus},
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    StoreError,
    error::{parse, to_json},
    vault::{DataKey, EncryptionContext},
};

/// Returns the encryption context of a merchant's wrapped key.
pub fn key_place(merchant: Uuid) -> EncryptionContext {
    EncryptionContext::new(merchant, "merchants", "data_key", merchant)
}

/// Creates a merchant with its own data key.
pub async fn insert(
    db: &mut PgConnection,
    master: &DataKey,
    name: &str,
) -> Result<MerchantId, StoreError> {
    let id = crate::new_id();
    let data_key = master.wrap(&key_place(id), &DataKey::random());
    sqlx::query!(
        "insert into merchants (id, name, data_key) values ($1, $2, $3)",
        id,
        name,
        data_key
    )
    .execute(db)
    .await?;
    Ok(MerchantId(id))
}

/// Returns a merchant's wrapped data key.
pub(crate) async fn data_key(db: &mut PgConnection, merchant: Uuid) -> Result<Vec<u8>, StoreError> {
    Ok(
        sqlx::query_scalar!("select data_key from merchants where id = $1", merchant)
            .fetch_one(db)
            .await?,
    )
}

/// Returns a merchant's status and settings.
pub async fn find(
    db: &mut PgConnection,
    merchant: MerchantId,
) -> Result<Option<(MerchantStatus, MerchantSettings)>, StoreError> {
    let row = sqlx::query!(
        "select status, settings from merchants where id = $1",
        merchant.uuid()
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok((
            parse("merchants.status", &row.status)?,
            settings(merchant, &row.settings),
        ))
    })
    .transpose()
}

/// Reads a merchant's stored settings. Never fails, so that one merchant's row does not block other work.
pub(crate) fn settings(merchant: MerchantId, stored: &serde_json::Value) -> MerchantSettings {
    let (settings, unreadable) = MerchantSettings::read(stored);
    if !unreadable.is_empty() {
        tracing::error!(%merchant, ?unreadable, "stored settings are not readable by this version; their defaults are used");
    }
    settings
}

/// Writes a merchant's settings. They apply from the next decision on.
pub async fn set_settings(
    db: &mut PgConnection,
    merchant: MerchantId,
    settings: &MerchantSettings,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update merchants set settings = $2 where id = $1",
        merchant.uuid(),
        to_json(settings)
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Status of a merchant under its row's lock.
#[derive(Clone, Copy, Debug)]
pub struct LockedStatus {
    pub status: MerchantStatus,
    pub since: DateTime<Utc>,
    pub now: DateTime<Utc>,
}

/// Locks a merchant's status until the transaction ends.
pub async fn lock_status(
    db: &mut PgConnection,
    merchant: MerchantId,
) -> Result<Option<LockedStatus>, StoreError> {
    let row = sqlx::query!(
        r#"with locked as materialized (
               select status, status_since from merchants where id = $1 for no key update)
           select locked.*, app_now() as "now!" from locked"#,
        merchant.uuid(),
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(LockedStatus {
            status: parse("merchants.status", &row.status)?,
            since: row.status_since,
            now: row.now,
        })
    })
    .transpose()
}

/// Sets a merchant's status. It applies from the merchant's next request on.
pub async fn set_status(
    db: &mut PgConnection,
    merchant: MerchantId,
    status: MerchantStatus,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update merchants set status = $2, status_since = app_now() where id = $1",
        merchant.uuid(),
        status.as_ref(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Numbers of a merchant's unfinished objects by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenBusiness {
    pub charges: i64,
    pub attempts: i64,
    pub refunds: i64,
    pub disputes: i64,
}

/// Counts a merchant's unfinished objects. Reads all its charges and may take minutes.
pub async fn open_business(
    db: &mut PgConnection,
    merchant: MerchantId,
) -> Result<OpenBusiness, StoreError> {
    sqlx::query!(r#"select set_config('statement_timeout', '300000', true) as "set!""#)
        .fetch_one(&mut *db)
        .await?;
    Ok(sqlx::query_as!(
        OpenBusiness,
        r#"select
             (select count(*) from charges where merchant_id = $1
                 and status in ('processing', 'pending', 'overdue', 'needs_review')) as "charges!",
             (select count(*) from attempts where merchant_id = $1
                 and state in ('open', 'presented', 'abandoned')) as "attempts!",
             (select count(*) from refunds where merchant_id = $1 and status in ('pending', 'needs_review')) as "refunds!",
             (select count(*) from disputes where merchant_id = $1
                 and status in ('needs_response', 'under_review')) as "disputes!""#,
        merchant.uuid(),
    )
    .fetch_one(db)
    .await?)
}

#[cfg(test)]
mod tests;
