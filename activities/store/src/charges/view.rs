//! Charges as the API returns them.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use schemas::{
    charge::{Charge, ChargeGateway, ChargeStatus, Currency, Mismatch},
    gateway::Mode,
    id::{ChargeId, MerchantId},
    payer::Payer,
    payment::Payment,
};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    error::{from_json, from_json_or_default, parse},
    payers, payments,
    vault::{DataKey, EncryptionContext},
};

/// Returns the encryption context of a charge's sealed payer.
pub fn payer_place(merchant: Uuid, charge: Uuid) -> EncryptionContext {
    EncryptionContext::new(merchant, "charges", "payer_sealed", charge)
}

/// Returns the current state of a charge, or `None` if this merchant has no such charge in that mode.
pub async fn view(
    db: &mut PgConnection,
    store: &Store,
    merchant: MerchantId,
    mode: Mode,
    id: ChargeId,
) -> Result<Option<Charge>, StoreError> {
    let mut found = views(db, store, merchant, mode, &[id.uuid()]).await?;
    found.pop().transpose()
}

/// Returns the current state of several charges in no particular order. A charge that this version cannot read is a separate error and does
/// not affect the others.
pub async fn views(
    db: &mut PgConnection,
    store: &Store,
    merchant: MerchantId,
    mode: Mode,
    ids: &[Uuid],
) -> Result<Vec<Result<Charge, StoreError>>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.id, c.status, c.amount, c.amount_paid, c.amount_refunded, c.amount_refund_pending,
                  c.amount_disputed, c.reference, c.description, c.payer_id,
                  c.payer_sealed, p.data_key as payer_key, c.payment_method, c.expires_at, c.failure, c.fallbacks,
                  c.metadata, c.created_at, c.paid_at, c.expired_at, c.canceled_at, c.failed_at,
                  a.connection_id as "connection_id?", a.gateway as "gateway?", a.next_action,
                  exists (select 1 from attempts u where u.charge_id = c.id and u.state = 'abandoned') as "unresolved_attempt!"
             from charges c
             join payers p on p.id = c.payer_id and p.merchant_id = c.merchant_id and p.mode = c.mode
             left join lateral (
                      select connection_id, gateway, next_action from attempts
                       where charge_id = c.id and state in ('presented', 'paid', 'voided')
                       order by state = 'paid' desc, state = 'presented' desc, n desc limit 1) a on true
            where c.id = any($1) and c.merchant_id = $2 and c.mode = $3
            order by c.id"#,
        ids,
        merchant.uuid(),
        mode.as_ref(),
    )
    .fetch_all(&mut *db)
    .await?;
    let paid: Vec<Uuid> = rows
        .iter()
        .filter(|row| row.amount_paid > 0 || row.paid_at.is_some())
        .map(|row| row.id)
        .collect();
    let mut payments = if paid.is_empty() {
        Vec::new()
    } else {
        payments::of_charges(db, &paid).await?
    };
    let key = store.merchant_key(db, merchant.uuid()).await?;
    let read = rows.into_iter().map(|row| {
        let mine = payments
            .extract_if(.., |payment| payment.charge.uuid() == row.id)
            .map(|payment| payment.shown())
            .collect();
        row.read(&key, merchant, mode, mine)
    });
    Ok(read.collect())
}

struct Row {
    id: Uuid,
    status: String,
    amount: i64,
    amount_paid: i64,
    amount_refunded: i64,
    amount_refund_pending: i64,
    amount_disputed: i64,
    reference: Option<String>,
    description: Option<String>,
    payer_id: Uuid,
    payer_sealed: Vec<u8>,
    payer_key: Option<Vec<u8>>,
    payment_method: Value,
    expires_at: DateTime<Utc>,
    failure: Option<Value>,
    fallbacks: Value,
    metadata: Value,
    created_at: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
    expired_at: Option<DateTime<Utc>>,
    canceled_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
    connection_id: Option<Uuid>,
    gateway: Option<String>,
    next_action: Option<Value>,
    unresolved_attempt: bool,
}

impl Row {
    fn read(
        self,
        merchant_key: &DataKey,
        merchant: MerchantId,
        mode: Mode,
        payments: Vec<Payment>,
    ) -> Result<Charge, StoreError> {
        let (id, status) = (
            ChargeId(self.id),
            parse::<ChargeStatus>("charges.status", &self.status)?,
        );
        let payer = match &self.payer_key {
            Some(wrapped) => {
                let key = merchant_key
                    .unwrap(&payers::key_place(merchant.uuid(), self.payer_id), wrapped)?;
                Some(open_payer(&key, merchant, id, &self.payer_sealed)?)
            }
            None => None,
        };
        let gateway = match (self.connection_id, self.gateway) {
            (Some(connection), Some(kind)) => Some(ChargeGateway {
                kind: parse("attempts.gateway", &kind)?,
                connection: connection.into(),
            }),
            _ => None,
        };
        let next_action = match self.next_action {
            Some(json) if status.is_payable() => {
                from_json_or_default(("attempts.next_action", self.id), json)
            }
            _ => None,
        };
        Ok(Charge {
            id,
            mode,
            status,
            amount: self.amount,
            currency: Currency::BRL,
            amount_paid: self.amount_paid,
            amount_mismatch: mismatch(self.amount, self.amount_paid),
            amount_refunded: self.amount_refunded,
            amount_disputed: self.amount_disputed,
            amount_refundable: refundable(
                self.amount_paid,
                self.amount_refunded + self.amount_refund_pending + self.amount_disputed,
            ),
            reference: self.reference,
            description: self.description,
            payer,
            payment_method: from_json("charges.payment_method", self.payment_method)?,
            gateway,
            next_action,
            hosted_url: None,
            expires_at: self.expires_at,
            payments,
            failure: self
                .failure
                .and_then(|json| from_json_or_default(("charges.failure", self.id), json)),
            fallbacks: from_json_or_default(("charges.fallbacks", self.id), self.fallbacks),
            unresolved_attempt: self.unresolved_attempt,
            metadata: from_json_or_default(("charges.metadata", self.id), self.metadata),
            created_at: self.created_at,
            paid_at: self.paid_at,
            expired_at: self.expired_at,
            canceled_at: self.canceled_at,
            failed_at: self.failed_at,
        })
    }
}

/// Returns the amount of a charge that can be refunded. `reserved` is the part that is or may be returned already.
pub(super) fn refundable(paid: i64, reserved: i64) -> i64 {
    (paid - reserved).max(0)
}

pub(super) fn mismatch(asked: i64, paid: i64) -> Option<Mismatch> {
    match paid.cmp(&asked) {
        Ordering::Less if paid > 0 => Some(Mismatch::Underpaid),
        Ordering::Greater => Some(Mismatch::Overpaid),
        _ => None,
    }
}

pub(super) fn open_payer(
    key: &DataKey,
    merchant: MerchantId,
    id: ChargeId,
    sealed: &[u8],
) -> Result<Payer, StoreError> {
    let plain = key.open(&payer_place(merchant.uuid(), id.uuid()), sealed)?;
    serde_json::from_slice(&plain).map_err(|why| StoreError::corrupt("charges.payer_sealed", why))
}
