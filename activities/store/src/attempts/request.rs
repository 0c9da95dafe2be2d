//! Request of an attempt to its gateway. The terms are permanent. The full order contains the payer's data and is erased with the payer.

use chrono::{DateTime, Utc};
use schemas::{
    id::{AttemptId, MerchantId, PayerId},
    payment_method::PaymentMethod,
};
use sqlx::PgConnection;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    Store, StoreError,
    error::from_json,
    payers,
    vault::{EncryptionContext, VaultError},
};

fn request_context(merchant: Uuid, attempt: Uuid) -> EncryptionContext {
    EncryptionContext::new(merchant, "attempts", "request_sealed", attempt)
}

/// Part of an order without personal data.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Amount in centavos.
    pub amount: i64,
    pub method: PaymentMethod,
    pub expires_at: DateTime<Utc>,
}

/// Returns the terms of an attempt, which are those of its charge.
pub async fn terms(db: &mut PgConnection, attempt: AttemptId) -> Result<Terms, StoreError> {
    let row = sqlx::query!(
        "select c.amount, c.payment_method, c.expires_at
           from attempts a
           join charges c on c.id = a.charge_id and c.merchant_id = a.merchant_id and c.mode = a.mode
          where a.id = $1",
        attempt.uuid(),
    )
    .fetch_one(db)
    .await?;
    Ok(Terms {
        amount: row.amount,
        method: from_json("charges.payment_method", row.payment_method)?,
        expires_at: row.expires_at,
    })
}

/// Seals an order under its payer's key. Fails with [`VaultError::Erased`] if the payer was erased.
pub async fn seal(
    db: &mut PgConnection,
    store: &Store,
    (merchant, payer): (MerchantId, PayerId),
    (attempt, order): (AttemptId, &[u8]),
) -> Result<Vec<u8>, StoreError> {
    let key = payers::data_key(db, store, merchant, payer).await?;
    let key = key.ok_or(VaultError::Erased)?;
    Ok(key.seal(&request_context(merchant.uuid(), attempt.uuid()), order))
}

/// Returns the order of an attempt, or `None` once its payer is erased.
pub async fn open(
    db: &mut PgConnection,
    store: &Store,
    attempt: AttemptId,
) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let row = sqlx::query!(
        "select a.merchant_id, a.request_sealed, c.payer_id, p.data_key
           from attempts a
           join charges c on c.id = a.charge_id and c.merchant_id = a.merchant_id and c.mode = a.mode
           join payers p on p.id = c.payer_id and p.merchant_id = c.merchant_id and p.mode = c.mode
          where a.id = $1",
        attempt.uuid(),
    )
    .fetch_one(&mut *db)
    .await?;
    let (Some(sealed), Some(wrapped)) = (row.request_sealed, row.data_key) else {
        return Ok(None);
    };
    let merchant_key = store.merchant_key(db, row.merchant_id).await?;
    let place = payers::key_place(row.merchant_id, row.payer_id);
    let key = merchant_key.unwrap(&place, &wrapped)?;
    let place = request_context(row.merchant_id, attempt.uuid());
    Ok(Some(key.open(&place, &sealed)?))
}
