//! Charges: locks, transitions and views.

use chrono::{DateTime, Utc};
use schemas::{
    charge::{Charge, ChargeFailure, ChargeStatus},
    event,
    gateway::Mode,
    id::{ChargeId, ConnectionId, MerchantId, PayerId},
    merchant::MerchantSettings,
    message::{ChargeMoved, CloudEvent, Position, Topic},
    payment_method::{PaymentMethod, PaymentMethodKind},
};
use sqlx::PgConnection;

use crate::{
    Store, StoreError,
    deliveries::PendingDelivery,
    error::{from_json, parse, to_json},
    events, merchants, outbox,
};

pub mod create;
pub mod list;
#[cfg(test)]
mod tests;
pub mod view;

pub use view::view;

/// Charge under its row's lock.
#[derive(Clone, Debug)]
pub struct LockedCharge {
    pub id: ChargeId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub payer: PayerId,
    pub method: PaymentMethodKind,
    pub payment_method: PaymentMethod,
    pub amount: i64,
    pub description: Option<String>,
    pub status: ChargeStatus,
    pub amount_paid: i64,
    pub amount_refunded: i64,
    pub amount_refund_pending: i64,
    pub amount_disputed: i64,
    pub event_sequence: i64,
    pub next_check_at: Option<DateTime<Utc>>,
    pub checks: i32,
    pub expires_at: DateTime<Utc>,
    pub cancel_requested_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// Settings of the merchant.
    pub settings: MerchantSettings,
    /// PostgreSQL's time, read after the lock is held: the `now` of every decision in this transaction.
    pub now: DateTime<Utc>,
}

/// Locks a charge until the transaction ends. Every change of a charge, its attempts or its payments requires this lock.
pub async fn lock(db: &mut PgConnection, id: ChargeId) -> Result<Option<LockedCharge>, StoreError> {
    let row = sqlx::query!(
        r#"with locked as materialized (
               select c.id, c.merchant_id, c.mode, c.payer_id, c.method, c.payment_method, c.amount, c.description, c.status,
                      c.amount_paid, c.amount_refunded, c.amount_refund_pending, c.amount_disputed, c.event_sequence, c.next_check_at,
                      c.checks, c.expires_at, c.cancel_requested_at, c.created_at, m.settings
                 from charges c join merchants m on m.id = c.merchant_id
                where c.id = $1
                  for update of c)
           select locked.*, app_now() as "now!" from locked"#,
        id.uuid(),
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(LockedCharge {
        id,
        merchant: row.merchant_id.into(),
        mode: parse("charges.mode", &row.mode)?,
        payer: row.payer_id.into(),
        method: parse("charges.method", &row.method)?,
        payment_method: from_json("charges.payment_method", row.payment_method)?,
        amount: row.amount,
        description: row.description,
        status: parse("charges.status", &row.status)?,
        amount_paid: row.amount_paid,
        amount_refunded: row.amount_refunded,
        amount_refund_pending: row.amount_refund_pending,
        amount_disputed: row.amount_disputed,
        event_sequence: row.event_sequence,
        next_check_at: row.next_check_at,
        checks: row.checks,
        expires_at: row.expires_at,
        cancel_requested_at: row.cancel_requested_at,
        created_at: row.created_at,
        settings: merchants::settings(row.merchant_id.into(), &row.settings),
        now: row.now,
    }))
}

/// Moves a locked charge to `next` if the table allows it, and writes the event, its deliveries and the message in the same transaction.
/// Returns the deliveries to start after the commit, or `None` if the table does not allow the transition.
pub async fn transition(
    db: &mut PgConnection,
    store: &Store,
    charge: &mut LockedCharge,
    next: ChargeStatus,
    failure: Option<&ChargeFailure>,
) -> Result<Option<Vec<PendingDelivery>>, StoreError> {
    let Some(from) = set_status(db, charge, next, failure).await? else {
        return Ok(None);
    };
    // No second `charge.paid` after a won dispute or a failed refund: their own events report it, and merchants ship on `charge.paid`.
    let is_known = matches!(from, ChargeStatus::Refunded | ChargeStatus::Disputed)
        && next == ChargeStatus::Paid;
    match event::EventType::of_charge(next) {
        Some(kind) if !is_known => append_event(db, store, charge, kind).await.map(Some),
        _ => Ok(Some(Vec::new())),
    }
}

/// Moves a locked charge to `next` if the table allows it, without an event: the caller records a more specific one. Returns the previous
/// status.
pub async fn set_status(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    next: ChargeStatus,
    failure: Option<&ChargeFailure>,
) -> Result<Option<ChargeStatus>, StoreError> {
    if !charge.status.may_become(next) {
        return Ok(None);
    }
    sqlx::query!(
        "update charges
            set status = $2,
                failure = case when $2 = 'failed' then $3 else failure end,
                paid_at = case when $2 = 'paid' and paid_at is null then $4 else paid_at end,
                expired_at = case when $2 = 'expired' then $4 else expired_at end,
                canceled_at = case when $2 = 'canceled' then $4 else canceled_at end,
                failed_at = case when $2 = 'failed' then $4 else failed_at end
          where id = $1",
        charge.id.uuid(),
        next.as_ref(),
        failure.map(to_json),
        charge.now,
    )
    .execute(&mut *db)
    .await?;
    let from = std::mem::replace(&mut charge.status, next);
    if from == ChargeStatus::Processing || charge.cancel_requested_at.is_some() {
        notify(db, charge).await?;
    }
    Ok(Some(from))
}

/// Notifies waiting callers of a create or a cancel of a charge's new status. Transactions that notify queue at commit for one lock of the
/// whole database; therefore transitions without a waiting caller do not notify.
async fn notify(db: &mut PgConnection, charge: &LockedCharge) -> Result<(), StoreError> {
    sqlx::query!(
        r#"select pg_notify('charges', $1) as "sent: String""#,
        format!("{} {}", charge.id.uuid(), charge.status.as_ref()),
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// Writes an event of a locked charge with its deliveries and its message. Returns the deliveries to start after the commit.
pub async fn append_event(
    db: &mut PgConnection,
    store: &Store,
    charge: &mut LockedCharge,
    kind: event::EventType,
) -> Result<Vec<PendingDelivery>, StoreError> {
    append_event_with(db, store, charge, (kind, None)).await
}

/// Records that an order was paid twice: the event names the other charge of the same reference.
pub async fn append_duplicate_event(
    db: &mut PgConnection,
    store: &Store,
    charge: &mut LockedCharge,
    other: ChargeId,
) -> Result<Vec<PendingDelivery>, StoreError> {
    let kind = event::EventType::ChargeDuplicatePayment;
    append_event_with(db, store, charge, (kind, Some(other))).await
}

async fn append_event_with(
    db: &mut PgConnection,
    store: &Store,
    charge: &mut LockedCharge,
    (kind, duplicate_of): (event::EventType, Option<ChargeId>),
) -> Result<Vec<PendingDelivery>, StoreError> {
    charge.event_sequence += 1;
    sqlx::query!(
        "update charges set event_sequence = $2 where id = $1",
        charge.id.uuid(),
        charge.event_sequence
    )
    .execute(&mut *db)
    .await?;
    let shown = view(db, store, charge.merchant, charge.mode, charge.id)
        .await?
        .ok_or_else(|| StoreError::corrupt("charges", "a locked charge is not there"))?;
    let mut data = events::masked(&shown);
    if let Some(other) = duplicate_of {
        data["duplicate_of"] = to_json(&other);
    }
    let new = events::NewEvent {
        merchant: charge.merchant,
        mode: charge.mode,
        kind,
        subject: event::EventSubjectKind::Charge,
        subject_id: charge.id.uuid(),
        sequence: charge.event_sequence,
        data,
    };
    let (event, due) = events::append(db, &new).await?;
    let position = Position {
        time: charge.now,
        mode: charge.mode,
        sequence: charge.event_sequence,
    };
    let message = CloudEvent::new(
        event.to_string(),
        kind.as_ref(),
        charge.id.to_string(),
        position,
        moved(&shown, charge.merchant, kind),
    );
    outbox::insert(db, Topic::ChargeEvents, &message).await?;
    Ok(due)
}

fn moved(shown: &Charge, merchant: MerchantId, event: event::EventType) -> ChargeMoved {
    let gateway = shown.gateway.as_ref();
    ChargeMoved {
        merchant,
        charge: shown.id,
        event,
        amount: shown.amount,
        amount_paid: shown.amount_paid,
        method: shown.method(),
        connection: gateway.map(|g| g.connection),
        gateway: gateway.map(|g| g.kind),
    }
}

/// Schedules the next check of a charge; `None` if nothing more is expected. `checks` is the number of checks so far.
pub async fn set_next_check(
    db: &mut PgConnection,
    id: ChargeId,
    next_check_at: Option<DateTime<Utc>>,
    checks: i32,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update charges set next_check_at = $2, checks = $3 where id = $1",
        id.uuid(),
        next_check_at,
        checks
    )
    .execute(db)
    .await?;
    Ok(())
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

/// Adds received money to a locked charge.
pub async fn add_paid(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    amount: i64,
) -> Result<(), StoreError> {
    charge.amount_paid += amount;
    sqlx::query!(
        "update charges set amount_paid = $2 where id = $1",
        charge.id.uuid(),
        charge.amount_paid
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

/// Writes the sums of a locked charge's refunds and disputes.
pub async fn save_sums(db: &mut PgConnection, charge: &LockedCharge) -> Result<(), StoreError> {
    sqlx::query!(
        "update charges set amount_refunded = $2, amount_refund_pending = $3, amount_disputed = $4 where id = $1",
        charge.id.uuid(),
        charge.amount_refunded,
        charge.amount_refund_pending,
        charge.amount_disputed,
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

/// Returns the payer's id at a connection's gateway.
pub async fn payer_at(
    db: &mut PgConnection,
    payer: PayerId,
    connection: ConnectionId,
) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        "select external_id from payer_gateway_ids where payer_id = $1 and connection_id = $2",
        payer.uuid(),
        connection.uuid(),
    )
    .fetch_optional(db)
    .await?)
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

/// Returns true if a charge that can no longer be paid is due for a check for late money.
pub async fn late_check(db: &mut PgConnection, id: ChargeId) -> Result<bool, StoreError> {
    let due = sqlx::query_scalar!(
        r#"select status in ('expired', 'canceled') and next_check_at is not null and next_check_at <= app_now() as "due!"
             from charges where id = $1"#,
        id.uuid(),
    )
    .fetch_optional(db)
    .await?;
    Ok(due.unwrap_or(false))
}
