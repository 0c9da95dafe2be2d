//! Payers: unique per merchant and mode by a keyed digest of their document; personal data is sealed under a key of their own.

use schemas::{
    gateway::Mode,
    id::{MerchantId, PayerId},
    payer::Payer,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    vault::{DataKey, Place},
};

/// Where a payer's wrapped key belongs.
pub fn key_place(merchant: Uuid, payer: Uuid) -> Place {
    Place::new(merchant, "payers", "data_key", payer)
}

/// The payer with this document, known or new, and the key to seal under. One who was erased gets a new key.
pub async fn upsert(
    db: &mut PgConnection,
    store: &Store,
    merchant: MerchantId,
    mode: Mode,
    payer: &Payer,
) -> Result<(PayerId, DataKey), StoreError> {
    let merchant_key = store.merchant_key(db, merchant.uuid()).await?;
    let document = merchant_key.digest("payers.document", payer.document.as_str().as_bytes());
    let (id, key) = (crate::new_id(), DataKey::random());
    let wrapped = merchant_key.wrap(&key_place(merchant.uuid(), id), &key);
    let inserted = sqlx::query!(
        "insert into payers (id, merchant_id, mode, document_hmac, data_key) values ($1, $2, $3, $4, $5)
         on conflict (merchant_id, mode, document_hmac) do nothing",
        id,
        merchant.uuid(),
        mode.as_ref(),
        document.as_slice(),
        wrapped,
    )
    .execute(&mut *db)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok((id.into(), key));
    }
    let known = sqlx::query!(
        "select id, data_key from payers where merchant_id = $1 and mode = $2 and document_hmac = $3",
        merchant.uuid(),
        mode.as_ref(),
        document.as_slice(),
    )
    .fetch_one(&mut *db)
    .await?;
    let place = key_place(merchant.uuid(), known.id);
    if let Some(wrapped) = known.data_key {
        return Ok((known.id.into(), merchant_key.unwrap(&place, &wrapped)?));
    }
    let wrapped = merchant_key.wrap(&place, &key);
    sqlx::query!(
        "update payers set data_key = $2 where id = $1",
        known.id,
        wrapped
    )
    .execute(db)
    .await?;
    Ok((known.id.into(), key))
}
