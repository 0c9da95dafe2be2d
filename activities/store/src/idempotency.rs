//! Idempotency keys. The first request with a key determines its result permanently.

use schemas::{gateway::Mode, id::MerchantId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, vault::DataKey};

/// Request with a key, as keyed digests: neither the key nor the body is stored.
#[derive(Clone, Debug)]
pub struct IdempotentRequest {
    pub operation: &'static str,
    key: [u8; 32],
    fingerprint: [u8; 32],
}

impl IdempotentRequest {
    /// Creates a request. `body` must be canonical: equal requests have equal bodies.
    pub fn new(merchant_key: &DataKey, operation: &'static str, key: &str, body: &[u8]) -> Self {
        Self {
            operation,
            key: merchant_key.digest("idempotency_keys.key", key.as_bytes()),
            fingerprint: merchant_key.digest("idempotency_keys.fingerprint", body),
        }
    }
}

/// Result of claiming a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyClaim {
    /// The key is new: continue.
    New,
    /// The same request was received before and created this resource.
    Same(Uuid),
    /// The key was used for another request.
    Other,
}

/// Claims a key for `resource`. Waits for a concurrent transaction that claims the same key.
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

/// Points a key that was just claimed to an existing resource.
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

#[cfg(test)]
mod tests;
