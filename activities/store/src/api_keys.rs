//! API keys. They are stored hashed; a secret is returned once, at creation.

use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use schemas::{
    gateway::Mode,
    id::{ApiKeyId, MerchantId},
    merchant::{MerchantSettings, MerchantStatus, Permission},
};
use secrecy::SecretString;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, error::parse, merchants, sweep::interval, vault};

const SECRET_BYTES: usize = 24;
/// Number of characters at the end of a secret that stay readable, so that users can distinguish keys.
const HINT_CHARACTERS: usize = 4;

/// Identity and permissions that a key proves.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: ApiKeyId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub permission: Permission,
    pub merchant_status: MerchantStatus,
    pub settings: MerchantSettings,
}

/// Creates a key. The secret (`sk_test_…`, `sk_live_…`) cannot be read again later.
pub async fn insert(
    db: &mut PgConnection,
    merchant: MerchantId,
    mode: Mode,
    permission: Permission,
    label: &str,
) -> Result<(ApiKeyId, SecretString), StoreError> {
    let id = crate::new_id();
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let secret = format!("sk_{mode}_{}", hex::encode(bytes));
    let hash = vault::fingerprint(&secret);
    sqlx::query!(
        "insert into api_keys (id, merchant_id, mode, hash, hint, label, permission) values ($1, $2, $3, $4, $5, $6, $7)",
        id,
        merchant.uuid(),
        mode.as_ref(),
        hash.as_slice(),
        &secret[secret.len() - HINT_CHARACTERS..],
        label,
        permission.as_ref(),
    )
    .execute(db)
    .await?;
    Ok((id.into(), secret.into()))
}

/// Returns the key of that secret, unless it is revoked or expired.
pub async fn find(db: &mut PgConnection, secret: &str) -> Result<Option<Key>, StoreError> {
    let hash = vault::fingerprint(secret);
    let row = sqlx::query!(
        r#"select k.id, k.merchant_id, k.mode, k.permission, m.status, m.settings,
                  coalesce(k.last_used_at < app_now() - interval '1 hour', true) as "is_stale!"
             from api_keys k join merchants m on m.id = k.merchant_id
            where k.hash = $1 and k.revoked_at is null and (k.expires_at is null or k.expires_at > app_now())"#,
        hash.as_slice(),
    )
    .fetch_optional(&mut *db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let merchant = MerchantId::from(row.merchant_id);
    if row.is_stale {
        note_use(db, row.id).await?;
    }
    Ok(Some(Key {
        id: row.id.into(),
        merchant,
        mode: parse("api_keys.mode", &row.mode)?,
        permission: parse("api_keys.permission", &row.permission)?,
        merchant_status: parse("merchants.status", &row.status)?,
        settings: merchants::settings(merchant, &row.settings),
    }))
}

/// Records that a key was used, at most once per hour. Skips the write if another transaction holds the row.
async fn note_use(db: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "update api_keys set last_used_at = app_now()
          where id = (select id from api_keys
                       where id = $1 and coalesce(last_used_at < app_now() - interval '1 hour', true)
                         for no key update skip locked)",
        id,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A key without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    pub id: ApiKeyId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub permission: Permission,
    pub label: String,
    /// Last characters of the secret.
    pub hint: String,
    pub created_at: DateTime<Utc>,
    /// Time of the last use, with a precision of one hour.
    pub last_used_at: Option<DateTime<Utc>>,
    /// End of validity, if the key was rolled.
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

struct ApiKeyRow {
    id: Uuid,
    merchant_id: Uuid,
    mode: String,
    permission: String,
    label: String,
    hint: String,
    created_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl ApiKeyRow {
    fn read(self) -> Result<KeyRow, StoreError> {
        Ok(KeyRow {
            id: self.id.into(),
            merchant: self.merchant_id.into(),
            mode: parse("api_keys.mode", &self.mode)?,
            permission: parse("api_keys.permission", &self.permission)?,
            label: self.label,
            hint: self.hint,
            created_at: self.created_at,
            last_used_at: self.last_used_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
        })
    }
}

/// Returns a merchant's keys in a mode, oldest first.
pub async fn list(
    db: &mut PgConnection,
    merchant: MerchantId,
    mode: Mode,
) -> Result<Vec<KeyRow>, StoreError> {
    let rows = sqlx::query_as!(
        ApiKeyRow,
        "select id, merchant_id, mode, permission, label, hint, created_at, last_used_at, expires_at, revoked_at
           from api_keys where merchant_id = $1 and mode = $2 order by id",
        merchant.uuid(),
        mode.as_ref(),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(ApiKeyRow::read).collect()
}

/// Locks the key with that id until the transaction ends.
pub async fn lock(db: &mut PgConnection, id: ApiKeyId) -> Result<Option<KeyRow>, StoreError> {
    let row = sqlx::query_as!(
        ApiKeyRow,
        "select id, merchant_id, mode, permission, label, hint, created_at, last_used_at, expires_at, revoked_at
           from api_keys where id = $1 for update",
        id.uuid(),
    )
    .fetch_optional(db)
    .await?;
    row.map(ApiKeyRow::read).transpose()
}

/// Limits a locked key's validity to `overlap` from now, because `by` replaces it. Returns its end of validity.
pub async fn expire(
    db: &mut PgConnection,
    id: ApiKeyId,
    by: ApiKeyId,
    overlap: TimeDelta,
) -> Result<DateTime<Utc>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"update api_keys
              set replaced_by = $2, expires_at = least(coalesce(expires_at, 'infinity'), app_now() + $3::interval)
            where id = $1 returning expires_at as "expires_at!""#,
        id.uuid(),
        by.uuid(),
        interval(overlap),
    )
    .fetch_one(db)
    .await?)
}

/// Revokes all keys of a merchant. Returns the number of keys that were not revoked before.
pub async fn revoke_all(db: &mut PgConnection, merchant: MerchantId) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update api_keys set revoked_at = app_now() where merchant_id = $1 and revoked_at is null",
        merchant.uuid(),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Revokes a key. Returns false if this merchant has no such key that is not revoked.
pub async fn revoke(
    db: &mut PgConnection,
    merchant: MerchantId,
    id: ApiKeyId,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update api_keys set revoked_at = app_now() where id = $1 and merchant_id = $2 and revoked_at is null",
        id.uuid(),
        merchant.uuid(),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

#[cfg(test)]
mod tests;
