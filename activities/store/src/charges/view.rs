//! A charge as the API shows it.

use schemas::{
    charge::{Charge, ChargeGateway, Currency, Status},
    gateway::Mode,
    id::{ChargeId, MerchantId},
    payer::Payer,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    error::{from_json, parse},
    payers, payments,
    vault::{DataKey, Place},
};

/// Where a charge's sealed payer belongs.
pub fn payer_place(merchant: Uuid, charge: Uuid) -> Place {
    Place::new(merchant, "charges", "payer_sealed", charge)
}

/// The charge as it stands; `None` if this merchant has none of that id in that mode.
pub async fn view(
    db: &mut PgConnection,
    store: &Store,
    merchant: MerchantId,
    mode: Mode,
    id: ChargeId,
) -> Result<Option<Charge>, StoreError> {
    let row = sqlx::query!(
        r#"select c.status, c.amount, c.amount_paid, c.amount_refunded, c.reference, c.description, c.payer_id,
                  c.payer_sealed, p.data_key as payer_key, c.payment_method, c.expires_at, c.failure, c.fallbacks,
                  c.metadata, c.created_at, c.paid_at, c.expired_at, c.canceled_at, c.failed_at,
                  a.connection_id as "connection_id?", a.gateway as "gateway?", a.next_action
             from charges c
             join payers p on p.id = c.payer_id and p.merchant_id = c.merchant_id and p.mode = c.mode
             left join lateral (
                      select connection_id, gateway, next_action from attempts
                       where charge_id = c.id and state in ('presented', 'paid', 'voided')
                       order by state = 'paid' desc, state = 'presented' desc, n desc limit 1) a on true
            where c.id = $1 and c.merchant_id = $2 and c.mode = $3"#,
        id.uuid(),
        merchant.uuid(),
        mode.as_ref(),
    )
    .fetch_optional(&mut *db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let status: Status = parse("charges.status", &row.status)?;
    let payer = match row.payer_key {
        Some(wrapped) => {
            let key = store.merchant_key(db, merchant.uuid()).await?;
            let key = key.unwrap(&payers::key_place(merchant.uuid(), row.payer_id), &wrapped)?;
            Some(open_payer(&key, merchant, id, &row.payer_sealed)?)
        }
        None => None,
    };
    let gateway = match (row.connection_id, row.gateway) {
        (Some(connection), Some(kind)) => {
            Some(ChargeGateway { kind: parse("attempts.gateway", &kind)?, connection: connection.into() })
        }
        _ => None,
    };
    let next_action = match row.next_action {
        Some(json) if status.is_payable() => Some(from_json("attempts.next_action", json)?),
        _ => None,
    };
    let payments = if row.amount_paid > 0 { payments::of_charge(db, id).await? } else { Vec::new() };
    Ok(Some(Charge {
        id,
        mode,
        status,
        amount: row.amount,
        currency: Currency::BRL,
        amount_paid: row.amount_paid,
        amount_refunded: row.amount_refunded,
        reference: row.reference,
        description: row.description,
        payer,
        payment_method: from_json("charges.payment_method", row.payment_method)?,
        gateway,
        next_action,
        hosted_url: None,
        expires_at: row.expires_at,
        payments,
        failure: row.failure.map(|json| from_json("charges.failure", json)).transpose()?,
        fallbacks: from_json("charges.fallbacks", row.fallbacks)?,
        metadata: from_json("charges.metadata", row.metadata)?,
        created_at: row.created_at,
        paid_at: row.paid_at,
        expired_at: row.expired_at,
        canceled_at: row.canceled_at,
        failed_at: row.failed_at,
    }))
}

/// The payer of a charge, for the order that goes to a gateway.
pub async fn payer(db: &mut PgConnection, store: &Store, merchant: MerchantId, id: ChargeId) -> Result<Payer, StoreError> {
    let row = sqlx::query!(
        "select c.payer_id, c.payer_sealed, p.data_key as payer_key
           from charges c join payers p on p.id = c.payer_id and p.merchant_id = c.merchant_id and p.mode = c.mode
          where c.id = $1",
        id.uuid(),
    )
    .fetch_one(&mut *db)
    .await?;
    let wrapped = row.payer_key.ok_or(crate::vault::VaultError::Erased)?;
    let key = store.merchant_key(db, merchant.uuid()).await?;
    let key = key.unwrap(&payers::key_place(merchant.uuid(), row.payer_id), &wrapped)?;
    open_payer(&key, merchant, id, &row.payer_sealed)
}

fn open_payer(key: &DataKey, merchant: MerchantId, id: ChargeId, sealed: &[u8]) -> Result<Payer, StoreError> {
    let plain = key.open(&payer_place(merchant.uuid(), id.uuid()), sealed)?;
    serde_json::from_slice(&plain).map_err(|why| StoreError::corrupt("charges.payer_sealed", why))
}
