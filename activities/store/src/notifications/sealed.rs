//! Sealed raw bodies. Each has its own key, which is wrapped by the key of every payer that the body is about. Therefore erasing one of
//! these payers erases the body.

use schemas::id::ChargeId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Store, StoreError, payers,
    vault::{DataKey, EncryptionContext, VaultError},
};

fn body_place(merchant: Uuid, notification: Uuid) -> EncryptionContext {
    EncryptionContext::new(merchant, "notifications", "body_sealed", notification)
}

fn key_place(merchant: Uuid, notification: Uuid) -> EncryptionContext {
    EncryptionContext::new(merchant, "notifications", "key_sealed", notification)
}

/// Sealed body as stored in its row.
#[derive(Debug)]
pub struct SealedBody {
    pub merchant: Uuid,
    pub notification: Uuid,
    pub body: Vec<u8>,
    /// The body's own key, wrapped.
    pub key: Vec<u8>,
    /// Payers that the body is about. The last one has the outermost key.
    pub payers: Vec<Uuid>,
}

/// Seals a body about these charges. Returns `None` if one of their payers was erased: the body must not be stored.
pub(super) async fn seal(
    db: &mut PgConnection,
    store: &Store,
    (merchant, notification): (Uuid, Uuid),
    about: &[ChargeId],
    body: &[u8],
) -> Result<Option<SealedBody>, StoreError> {
    let about: Vec<Uuid> = about.iter().map(|charge| charge.uuid()).collect();
    let rows = sqlx::query!(
        "select p.id, p.data_key from payers p
          where p.merchant_id = $1 and p.id in (select payer_id from charges where id = any($2))
          order by p.id",
        merchant,
        &about,
    )
    .fetch_all(&mut *db)
    .await?;
    let merchant_key = store.merchant_key(db, merchant).await?;
    let own_key = DataKey::random();
    let place = key_place(merchant, notification);
    let mut sealed_key = merchant_key.wrap(&place, &own_key);
    let mut payers = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(wrapped) = row.data_key else {
            return Ok(None);
        };
        let key = merchant_key.unwrap(&payers::key_place(merchant, row.id), &wrapped)?;
        sealed_key = key.seal(&place, &sealed_key);
        payers.push(row.id);
    }
    Ok(Some(SealedBody {
        merchant,
        notification,
        body: own_key.seal(&body_place(merchant, notification), body),
        key: sealed_key,
        payers,
    }))
}

/// Opens a body. Fails with [`VaultError::Erased`] if one of its payers was erased.
pub async fn open(
    db: &mut PgConnection,
    store: &Store,
    sealed: &SealedBody,
) -> Result<Vec<u8>, StoreError> {
    let (merchant, notification) = (sealed.merchant, sealed.notification);
    let merchant_key = store.merchant_key(db, merchant).await?;
    let place = key_place(merchant, notification);
    let mut key = sealed.key.clone();
    for payer in sealed.payers.iter().rev() {
        let payer_key = payers::data_key(db, store, merchant.into(), (*payer).into()).await?;
        key = payer_key
            .ok_or(VaultError::Erased)?
            .open(&place, &key)?
            .to_vec();
    }
    let own_key = merchant_key.unwrap(&place, &key)?;
    let body = own_key.open(&body_place(merchant, notification), &sealed.body)?;
    Ok(body.to_vec())
}
