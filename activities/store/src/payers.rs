//! Payers. They are unique per merchant and mode by a keyed digest of their document. Personal data is sealed under the payer's own key.

use schemas::{
    gateway::Mode,
    id::{ChargeId, MerchantId, PayerId},
    payer::Payer,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    vault::{DataKey, EncryptionContext},
};

pub mod erase;
#[cfg(test)]
mod tests;

/// Returns the encryption context of a payer's wrapped key.
pub fn key_place(merchant: Uuid, payer: Uuid) -> EncryptionContext {
    EncryptionContext::new(merchant, "payers", "data_key", payer)
}

/// Maximum number of tries to find a payer that is being erased concurrently.
const TRIES: u8 = 3;

/// Returns the payer's data key, or `None` once the payer is erased.
pub async fn data_key(
    db: &mut PgConnection,
    store: &Store,
    merchant: MerchantId,
    payer: PayerId,
) -> Result<Option<DataKey>, StoreError> {
    let wrapped = sqlx::query_scalar!(
        "select data_key from payers where id = $1 and merchant_id = $2",
        payer.uuid(),
        merchant.uuid(),
    )
    .fetch_one(&mut *db)
    .await?;
    let Some(wrapped) = wrapped else {
        return Ok(None);
    };
    let key = store.merchant_key(db, merchant.uuid()).await?;
    let place = key_place(merchant.uuid(), payer.uuid());
    Ok(Some(key.unwrap(&place, &wrapped)?))
}

/// Locks a charge's payer until the transaction ends, so that it is not erased. Returns false if the payer is already erased: nothing about
/// the payer may then be written in plaintext. A caller that holds the charge's lock does not need this, because erasing locks the charge
/// first.
pub async fn hold(db: &mut PgConnection, charge: ChargeId) -> Result<bool, StoreError> {
    let is_known = sqlx::query_scalar!(
        r#"select p.data_key is not null as "is_known!"
             from payers p
            where p.id = (select payer_id from charges where id = $1)
              for key share"#,
        charge.uuid(),
    )
    .fetch_optional(db)
    .await?;
    Ok(is_known.unwrap_or(false))
}

/// Returns the payer with this document, existing or new, and the key to seal under. Locks the payer until the transaction ends, so that it
/// is not erased. An erased payer who returns is a new payer.
pub async fn upsert(
    db: &mut PgConnection,
    store: &Store,
    merchant: MerchantId,
    mode: Mode,
    payer: &Payer,
) -> Result<PayerKey, StoreError> {
    let merchant_key = store.merchant_key(db, merchant.uuid()).await?;
    let document = merchant_key.digest("payers.document", payer.document.as_str().as_bytes());
    for _ in 0..TRIES {
        if let Some(known) = find_or_insert(db, &merchant_key, (merchant, mode), &document).await? {
            return Ok(known);
        }
    }
    Err(StoreError::corrupt("payers", "erased again and again"))
}

/// Payer of a charge to create.
#[derive(Debug)]
pub struct PayerKey {
    pub id: PayerId,
    pub key: DataKey,
    /// The key as stored.
    pub wrapped: Vec<u8>,
}

/// Finds or inserts a payer. Returns `None` if it was inserted or erased concurrently.
async fn find_or_insert(
    db: &mut PgConnection,
    merchant_key: &DataKey,
    (merchant, mode): (MerchantId, Mode),
    document: &[u8],
) -> Result<Option<PayerKey>, StoreError> {
    let (new_id, new_key) = (crate::new_id(), DataKey::random());
    let row = sqlx::query!(
        r#"with known as materialized (
               select id, data_key from payers where merchant_id = $2 and mode = $3 and document_hmac = $4 for key share),
           added as (
               insert into payers (id, merchant_id, mode, document_hmac, data_key)
               select $1, $2, $3, $4, $5 where not exists (select from known)
               on conflict (merchant_id, mode, document_hmac) do nothing
               returning id, data_key)
           select id as "id!", data_key from known union all select id, data_key from added"#,
        new_id,
        merchant.uuid(),
        mode.as_ref(),
        document,
        merchant_key.wrap(&key_place(merchant.uuid(), new_id), &new_key),
    )
    .fetch_optional(&mut *db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let wrapped = row.data_key.ok_or_else(|| {
        StoreError::corrupt("payers", "a payer with a document and without a key")
    })?;
    let key = if row.id == new_id {
        new_key
    } else {
        merchant_key.unwrap(&key_place(merchant.uuid(), row.id), &wrapped)?
    };
    Ok(Some(PayerKey {
        id: row.id.into(),
        key,
        wrapped,
    }))
}
