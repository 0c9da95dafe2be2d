//! API keys: stored hashed, told once.

use rand::Rng;
use schemas::{
    gateway::Mode,
    id::{ApiKeyId, MerchantId},
    merchant::{Permission, Settings, Status},
};
use secrecy::SecretString;
use sqlx::PgConnection;

use crate::{StoreError, error::parse, merchants, vault};

const SECRET_BYTES: usize = 24;
/// How much of a secret's end is kept readable, so that people can tell keys apart.
const HINT_CHARACTERS: usize = 4;

/// What a key proves.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: ApiKeyId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub permission: Permission,
    pub merchant_status: Status,
    pub settings: Settings,
}

/// Creates a key. The secret (`sk_test_…`, `sk_live_…`) cannot be had again.
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

/// The key of that secret, unless it was revoked.
pub async fn find(db: &mut PgConnection, secret: &str) -> Result<Option<Key>, StoreError> {
    let hash = vault::fingerprint(secret);
    let row = sqlx::query!(
        "select k.id, k.merchant_id, k.mode, k.permission, m.status, m.settings
           from api_keys k join merchants m on m.id = k.merchant_id
          where k.hash = $1 and k.revoked_at is null",
        hash.as_slice(),
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let merchant = MerchantId::from(row.merchant_id);
    Ok(Some(Key {
        id: row.id.into(),
        merchant,
        mode: parse("api_keys.mode", &row.mode)?,
        permission: parse("api_keys.permission", &row.permission)?,
        merchant_status: parse("merchants.status", &row.status)?,
        settings: merchants::settings(merchant, &row.settings),
    }))
}

/// Revokes a key; `false` if this merchant has no such key in use.
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
