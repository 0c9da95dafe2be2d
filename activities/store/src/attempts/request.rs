//! Request of an attempt to its gateway. The terms are permanent. The full order contains the payer's data and is erased with the payer.

use chrono::{DateTime, Utc};
use schemas::{id::AttemptId, payment_method::PaymentMethod};
use sqlx::PgConnection;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{Store, StoreError, error::from_json, payers, vault::EncryptionContext};

/// Returns the encryption context of an attempt's sealed request.
pub(crate) fn request_context(merchant: Uuid, attempt: Uuid) -> EncryptionContext {
    EncryptionContext::new(merchant, "attempts", "request_sealed", attempt)
}

/// Part of an order without personal data.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Amount in centavos.
    pub amount: i64,
    pub method: PaymentMethod,
    pub expires_at: DateTime<Utc>,
    /// Newest version of the connection's credentials.
    pub credential_version: i32,
}

/// Returns the terms of an attempt, which are those of its charge.
pub async fn terms(db: &mut PgConnection, attempt: AttemptId) -> Result<Terms, StoreError> {
    let row = sqlx::query!(
        r#"select c.amount, c.payment_method, c.expires_at,
                  (select max(version) from gateway_credentials where connection_id = a.connection_id) as "credential_version!"
           from attempts a
           join charges c on c.id = a.charge_id and c.merchant_id = a.merchant_id and c.mode = a.mode
          where a.id = $1"#,
        attempt.uuid(),
    )
    .fetch_one(db)
    .await?;
    Ok(Terms {
        credential_version: row.credential_version,
        amount: row.amount,
        method: from_json("charges.payment_method", row.payment_method)?,
        expires_at: row.expires_at,
    })
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
