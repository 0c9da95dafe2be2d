//! Charges: loaded once under a lock, changed in memory, saved once; and their views.

use chrono::{DateTime, Utc};
use schemas::{
    charge::{ChargeFailure, ChargeStatus, Metadata},
    gateway::Mode,
    id::{ChargeId, ConnectionId, MerchantId, PayerId},
    merchant::MerchantSettings,
    payment_method::{PaymentMethod, PaymentMethodKind},
    route::Fallback,
};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    attempts::{self, AttemptRow, NewAttempt},
    error::{from_json, from_json_or_default, parse},
    events::NewEvent,
    merchants,
    outbox::NewMessage,
    payments::{self, PaymentRow},
    vault::DataKey,
};

mod change;
pub mod create;
pub mod list;
mod save;
#[cfg(test)]
mod tests;
pub mod view;

pub use save::{save, save_attempts};
pub use view::view;

/// Charge under its row's lock, with its attempts and payments. Rules change it in memory; [`save`] writes what changed.
#[derive(Clone, Debug)]
pub struct LockedCharge {
    pub id: ChargeId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub payer: PayerId,
    pub method: PaymentMethodKind,
    pub payment_method: PaymentMethod,
    pub amount: i64,
    pub reference: Option<String>,
    pub description: Option<String>,
    pub metadata: Metadata,
    pub fallbacks: Vec<Fallback>,
    pub status: ChargeStatus,
    pub amount_paid: i64,
    pub amount_refunded: i64,
    pub amount_refund_pending: i64,
    pub amount_disputed: i64,
    pub failure: Option<ChargeFailure>,
    pub event_sequence: i64,
    pub next_check_at: Option<DateTime<Utc>>,
    pub checks: i32,
    pub expires_at: DateTime<Utc>,
    pub cancel_requested_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub paid_at: Option<DateTime<Utc>>,
    pub expired_at: Option<DateTime<Utc>>,
    pub canceled_at: Option<DateTime<Utc>>,
    pub failed_at: Option<DateTime<Utc>>,
    /// Settings of the merchant.
    pub settings: MerchantSettings,
    /// PostgreSQL's time, read after the lock is held: the `now` of every decision in this transaction.
    pub now: DateTime<Utc>,
    /// Attempts in order.
    pub attempts: Vec<AttemptRow>,
    /// Payments, oldest first.
    pub payments: Vec<PaymentRow>,
    /// True if it has disputes, open or closed.
    pub has_disputes: bool,
    payer_sealed: Vec<u8>,
    /// Wrapped key of the payer; `None` once the payer is erased.
    payer_key: Option<Vec<u8>>,
    merchant_key: DataKey,
    pending: Pending,
}

/// State as loaded, and the rows to write.
#[derive(Clone, Debug, Default)]
struct Pending {
    columns: Option<save::ChargeColumns>,
    attempts: Vec<AttemptRow>,
    opened: Vec<NewAttempt>,
    events: Vec<NewEvent>,
    messages: Vec<NewMessage>,
    /// True if a caller may wait for the status.
    is_awaited: bool,
}

/// Locks a charge until the transaction ends, and loads it with its attempts and payments. Every change of a charge, its attempts or its
/// payments requires this lock.
pub async fn lock(
    db: &mut PgConnection,
    store: &Store,
    id: ChargeId,
) -> Result<Option<LockedCharge>, StoreError> {
    let locked = sqlx::query_scalar!(
        "select merchant_id from charges where id = $1 for update",
        id.uuid()
    )
    .fetch_optional(&mut *db)
    .await?;
    let Some(merchant) = locked else {
        return Ok(None);
    };
    let merchant_key = store.merchant_key(db, merchant).await?;
    // A separate statement, because a statement that waits for a lock sees other rows as they were before it waited.
    let columns = sqlx::query_as!(
        ChargeColumns,
        r#"select c.mode, c.payer_id, c.payer_sealed, p.data_key as payer_key, c.method, c.payment_method, c.amount, c.reference,
                  c.description, c.metadata, c.fallbacks, c.status, c.amount_paid, c.amount_refunded, c.amount_refund_pending,
                  c.amount_disputed, c.failure, c.event_sequence, c.next_check_at, c.checks, c.expires_at, c.cancel_requested_at,
                  c.created_at, c.paid_at, c.expired_at, c.canceled_at, c.failed_at, m.settings,
                  exists (select from disputes where charge_id = c.id) as "has_disputes!",
                  (select jsonb_agg(to_jsonb(attempt) order by n)
                     from (select id, merchant_id, mode, charge_id, n, connection_id, gateway, api, reason, policy_version, state,
                                  lease_owner, deadline_at, lease_expires_at, error_class, error_code, error_message,
                                  gateway_charge_id, next_action, late_answer, voiding, voids, rejected_at, alerted_at,
                                  next_check_at, checks, searched_at, started_at, answered_at, ended_at, duration_ms
                             from attempts where charge_id = c.id) attempt) as attempts,
                  (select jsonb_agg(to_jsonb(payment) order by id)
                     from (select id, charge_id, attempt_id, connection_id, gateway, gateway_payment_id, end_to_end_id, amount,
                                  method, fee, fee_is_estimated, net, installments, settles_on, settled_on, paid_at, reversed_at
                             from payments where charge_id = c.id) payment) as payments,
                  app_now() as "now!"
             from charges c
             join merchants m on m.id = c.merchant_id
             join payers p on p.id = c.payer_id and p.merchant_id = c.merchant_id and p.mode = c.mode
            where c.id = $1"#,
        id.uuid(),
    )
    .fetch_one(db)
    .await?;
    columns.read(id, merchant.into(), merchant_key).map(Some)
}

struct ChargeColumns {
    mode: String,
    payer_id: Uuid,
    payer_sealed: Vec<u8>,
    payer_key: Option<Vec<u8>>,
    method: String,
    payment_method: Value,
    amount: i64,
    reference: Option<String>,
    description: Option<String>,
    metadata: Value,
    fallbacks: Value,
    status: String,
    amount_paid: i64,
    amount_refunded: i64,
    amount_refund_pending: i64,
    amount_disputed: i64,
    failure: Option<Value>,
    event_sequence: i64,
    next_check_at: Option<DateTime<Utc>>,
    checks: i32,
    expires_at: DateTime<Utc>,
    cancel_requested_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
    expired_at: Option<DateTime<Utc>>,
    canceled_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
    settings: Value,
    has_disputes: bool,
    attempts: Option<Value>,
    payments: Option<Value>,
    now: DateTime<Utc>,
}

impl ChargeColumns {
    fn read(
        self,
        id: ChargeId,
        merchant: MerchantId,
        merchant_key: DataKey,
    ) -> Result<LockedCharge, StoreError> {
        let mut charge = LockedCharge {
            id,
            merchant,
            mode: parse("charges.mode", &self.mode)?,
            payer: self.payer_id.into(),
            method: parse("charges.method", &self.method)?,
            payment_method: from_json("charges.payment_method", self.payment_method)?,
            amount: self.amount,
            reference: self.reference,
            description: self.description,
            metadata: from_json_or_default(("charges.metadata", id.uuid()), self.metadata),
            fallbacks: from_json_or_default(("charges.fallbacks", id.uuid()), self.fallbacks),
            status: parse("charges.status", &self.status)?,
            amount_paid: self.amount_paid,
            amount_refunded: self.amount_refunded,
            amount_refund_pending: self.amount_refund_pending,
            amount_disputed: self.amount_disputed,
            failure: self
                .failure
                .and_then(|json| from_json_or_default(("charges.failure", id.uuid()), json)),
            event_sequence: self.event_sequence,
            next_check_at: self.next_check_at,
            checks: self.checks,
            expires_at: self.expires_at,
            cancel_requested_at: self.cancel_requested_at,
            created_at: self.created_at,
            paid_at: self.paid_at,
            expired_at: self.expired_at,
            canceled_at: self.canceled_at,
            failed_at: self.failed_at,
            settings: merchants::settings(merchant, &self.settings),
            now: self.now,
            attempts: attempts::read_all(self.attempts)?,
            payments: payments::read_all(self.payments)?,
            has_disputes: self.has_disputes,
            payer_sealed: self.payer_sealed,
            payer_key: self.payer_key,
            merchant_key,
            pending: Pending::default(),
        };
        charge.mark_saved();
        Ok(charge)
    }
}

/// Makes a charge due for a check now, unless nothing more is expected of it.
pub async fn check_now(db: &mut PgConnection, id: ChargeId) -> Result<(), StoreError> {
    sqlx::query!(
        "update charges set next_check_at = app_now() where id = $1 and next_check_at is not null",
        id.uuid()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Returns another charge with the same reference that is payable or has received money.
pub async fn sibling(
    db: &mut PgConnection,
    charge: &LockedCharge,
) -> Result<Option<ChargeId>, StoreError> {
    let id = sqlx::query_scalar!(
        "select o.id from charges c
           join charges o on o.merchant_id = c.merchant_id and o.mode = c.mode and o.reference = c.reference and o.id <> c.id
          where c.id = $1 and o.status in ('pending', 'overdue', 'paid', 'disputed')
          order by o.id desc limit 1",
        charge.id.uuid(),
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(ChargeId))
}

/// Clears the reference lock of a charge that becomes payable again, if another open charge holds the same reference.
pub async fn yield_reference(
    db: &mut PgConnection,
    charge: &LockedCharge,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update charges c set reference_lock = null
          where c.id = $1 and c.reference_lock is not null
            and exists (select 1 from charges o
                         where o.merchant_id = c.merchant_id and o.mode = c.mode and o.reference_lock = c.reference_lock
                           and o.id <> c.id and o.status in ('processing', 'pending', 'overdue'))",
        charge.id.uuid(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Returns the statuses of the given charges.
pub async fn statuses(
    db: &mut PgConnection,
    ids: &[uuid::Uuid],
) -> Result<Vec<(uuid::Uuid, ChargeStatus)>, StoreError> {
    let rows = sqlx::query!(
        "select id, status from charges where id = any($1) order by id",
        ids
    )
    .fetch_all(db)
    .await?;
    let statuses = rows
        .into_iter()
        .map(|row| Ok((row.id, parse("charges.status", &row.status)?)));
    statuses.collect()
}

/// Requests the cancellation of a charge; its workflow cancels it at its next check. Returns false if the charge cannot be canceled.
pub async fn request_cancel(
    db: &mut PgConnection,
    merchant: MerchantId,
    mode: Mode,
    id: ChargeId,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update charges
            set cancel_requested_at = coalesce(cancel_requested_at, app_now()), next_check_at = app_now()
          where id = $1 and merchant_id = $2 and mode = $3 and status in ('processing', 'pending', 'overdue')",
        id.uuid(),
        merchant.uuid(),
        mode.as_ref(),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Stores a payer's id at a gateway, unless the payer was erased. The caller holds the charge's lock.
pub async fn remember_payer_at(
    db: &mut PgConnection,
    charge: &LockedCharge,
    connection: ConnectionId,
    external_id: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into payer_gateway_ids (payer_id, connection_id, merchant_id, mode, external_id)
         select $1, $2, $3, $4, $5
          where exists (select 1 from payers where id = $1 and data_key is not null)
         on conflict (payer_id, connection_id) do update set external_id = excluded.external_id",
        charge.payer.uuid(),
        connection.uuid(),
        charge.merchant.uuid(),
        charge.mode.as_ref(),
        external_id,
    )
    .execute(db)
    .await?;
    Ok(())
}
