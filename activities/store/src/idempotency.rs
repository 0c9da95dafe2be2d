//! Idempotency keys: the first request under a key decides, for ever.

use schemas::{gateway::Mode, id::MerchantId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, vault::DataKey};

/// A request under a key, as keyed digests: neither the key nor the body is stored.
#[derive(Clone, Debug)]
pub struct IdempotentRequest {
    pub operation: &'static str,
    key: [u8; 32],
    fingerprint: [u8; 32],
}

impl IdempotentRequest {
    /// `body` in a form that is the same for the same request.
    pub fn new(merchant_key: &DataKey, operation: &'static str, key: &str, body: &[u8]) -> Self {
        Self {
            operation,
            key: merchant_key.digest("idempotency_keys.key", key.as_bytes()),
            fingerprint: merchant_key.digest("idempotency_keys.fingerprint", body),
        }
    }
}

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyClaim {
    /// Ours: go on.
    New,
    /// The same request came before and made this.
    Same(Uuid),
    /// The key was used for another request.
    Other,
}

/// Claims a key for `resource`. Waits for a transaction that is claiming it at the same time.
pub async fn claim(
    db: &mut PgConnection,
    (merchant, mode): (MerchantId, Mode),
    request: &IdempotentRequest,
    resource: Uuid,
) -> Result<KeyClaim, StoreError> {
    let inserted = sqlx::query!(
        "insert into idempotency_keys (merchant_id, mode, operation, key_hash, fingerprint, resource_id)
         values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
        merchant.uuid(),
        mode.as_ref(),
        request.operation,
        request.key.as_slice(),
        request.fingerprint.as_slice(),
        resource,
    )
    .execute(&mut *db)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(KeyClaim::New);
    }
    let first = sqlx::query!(
        "select fingerprint, resource_id from idempotency_keys
          where merchant_id = $1 and mode = $2 and operation = $3 and key_hash = $4",
        merchant.uuid(),
        mode.as_ref(),
        request.operation,
        request.key.as_slice(),
    )
    .fetch_one(db)
    .await?;
    let same = first.fingerprint == request.fingerprint;
    Ok(if same {
        KeyClaim::Same(first.resource_id)
    } else {
        KeyClaim::Other
    })
}

/// Lets a key that was just claimed stand for something that exists already.
pub async fn point_at(
    db: &mut PgConnection,
    (merchant, mode): (MerchantId, Mode),
    request: &IdempotentRequest,
    resource: Uuid,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update idempotency_keys set resource_id = $5
          where merchant_id = $1 and mode = $2 and operation = $3 and key_hash = $4",
        merchant.uuid(),
        mode.as_ref(),
        request.operation,
        request.key.as_slice(),
        resource,
    )
    .execute(db)
    .await?;
    Ok(())
}
