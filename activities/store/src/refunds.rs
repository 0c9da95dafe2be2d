//! Refunds. They are reserved under the charge's lock, fenced by their lease owner, and moved through the transition table.

use chrono::{DateTime, Utc};
use schemas::{
    charge::{GatewayFailure, Metadata},
    event,
    gateway::{GatewayKind, Mode},
    id::{ChargeId, ConnectionId, MerchantId, PaymentId, RefundId},
    refund::{Refund, RefundOrigin, RefundStatus},
};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    StoreError,
    deliveries::PendingDelivery,
    error::{from_json_or_default, parse, to_json},
    events,
    page::Range,
    payers::erase,
};

/// Row of `refunds`. Every change requires its charge's lock.
#[derive(Clone, Debug)]
pub struct RefundRow {
    pub id: RefundId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub charge: ChargeId,
    pub payment: PaymentId,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub status: RefundStatus,
    pub origin: RefundOrigin,
    pub amount: i64,
    pub reason: Option<String>,
    pub metadata: Metadata,
    pub failure: Option<GatewayFailure>,
    /// Request to the gateway. `None` if the gateway reported the refund.
    pub order: Option<Value>,
    pub gateway_refund_id: Option<String>,
    pub lease_owner: Option<Uuid>,
    pub lease_expires_at: Option<DateTime<Utc>>,
    pub sent_at: Option<DateTime<Utc>>,
    pub event_sequence: i64,
    pub next_check_at: Option<DateTime<Utc>>,
    pub checks: i32,
    pub created_at: DateTime<Utc>,
    pub succeeded_at: Option<DateTime<Utc>>,
    pub failed_at: Option<DateTime<Utc>>,
}

/// Refund to insert.
#[derive(Debug)]
pub struct NewRefund<'a> {
    pub id: RefundId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub charge: ChargeId,
    pub payment: PaymentId,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub status: RefundStatus,
    pub origin: RefundOrigin,
    pub amount: i64,
    pub reason: Option<&'a str>,
    pub metadata: &'a Metadata,
    pub gateway_refund_id: Option<&'a str>,
    pub next_check_at: Option<DateTime<Utc>>,
}

impl RefundRow {
    /// Returns the refund as the API returns it.
    pub fn shown(&self) -> Refund {
        Refund {
            id: self.id,
            mode: self.mode,
            charge: self.charge,
            payment: self.payment,
            gateway: self.gateway,
            status: self.status,
            amount: self.amount,
            origin: self.origin,
            reason: self.reason.clone(),
            failure: self.failure.clone(),
            metadata: self.metadata.clone(),
            created_at: self.created_at,
            succeeded_at: self.succeeded_at,
            failed_at: self.failed_at,
        }
    }
}

struct Columns {
    id: Uuid,
    merchant_id: Uuid,
    mode: String,
    charge_id: Uuid,
    payment_id: Uuid,
    connection_id: Uuid,
    gateway: String,
    status: String,
    origin: String,
    amount: i64,
    reason: Option<String>,
    metadata: Value,
    failure: Option<Value>,
    gateway_request: Option<Value>,
    gateway_refund_id: Option<String>,
    lease_owner: Option<Uuid>,
    lease_expires_at: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
    event_sequence: i64,
    next_check_at: Option<DateTime<Utc>>,
    checks: i32,
    created_at: DateTime<Utc>,
    succeeded_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
}

impl Columns {
    fn read(self) -> Result<RefundRow, StoreError> {
        Ok(RefundRow {
            id: self.id.into(),
            merchant: self.merchant_id.into(),
            mode: parse("refunds.mode", &self.mode)?,
            charge: self.charge_id.into(),
            payment: self.payment_id.into(),
            connection: self.connection_id.into(),
            gateway: parse("refunds.gateway", &self.gateway)?,
            status: parse("refunds.status", &self.status)?,
            origin: parse("refunds.origin", &self.origin)?,
            amount: self.amount,
            reason: self.reason,
            metadata: from_json_or_default(("refunds.metadata", self.id), self.metadata),
            failure: self
                .failure
                .and_then(|json| from_json_or_default(("refunds.failure", self.id), json)),
            order: self.gateway_request,
            gateway_refund_id: self.gateway_refund_id,
            lease_owner: self.lease_owner,
            lease_expires_at: self.lease_expires_at,
            sent_at: self.sent_at,
            event_sequence: self.event_sequence,
            next_check_at: self.next_check_at,
            checks: self.checks,
            created_at: self.created_at,
            succeeded_at: self.succeeded_at,
            failed_at: self.failed_at,
        })
    }
}

/// Inserts a refund. The caller holds the charge's lock and adds the amount to the charge's sums.
pub async fn insert(db: &mut PgConnection, new: &NewRefund<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into refunds (id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, status, origin, amount,
                              reason, metadata, gateway_refund_id, next_check_at, succeeded_at, failed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
                 case when $8 = 'succeeded' then app_now() end, case when $8 = 'failed' then app_now() end)",
        new.id.uuid(),
        new.merchant.uuid(),
        new.mode.as_ref(),
        new.charge.uuid(),
        new.payment.uuid(),
        new.connection.uuid(),
        new.gateway.as_ref(),
        new.status.as_ref(),
        new.origin.as_ref(),
        new.amount,
        new.reason,
        to_json(new.metadata),
        new.gateway_refund_id,
        new.next_check_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Returns the refund with that id.
pub async fn find(db: &mut PgConnection, id: RefundId) -> Result<Option<RefundRow>, StoreError> {
    let row = sqlx::query_as!(
        Columns,
        "select id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, status, origin, amount, reason, metadata,
                failure, gateway_request, gateway_refund_id, lease_owner, lease_expires_at, sent_at, event_sequence, next_check_at, checks,
                created_at, succeeded_at, failed_at
           from refunds where id = $1",
        id.uuid(),
    )
    .fetch_optional(db)
    .await?;
    row.map(Columns::read).transpose()
}

/// Returns a charge's refunds, oldest first.
pub async fn of_charge(
    db: &mut PgConnection,
    charge: ChargeId,
) -> Result<Vec<RefundRow>, StoreError> {
    let rows = sqlx::query_as!(
        Columns,
        "select id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, status, origin, amount, reason, metadata,
                failure, gateway_request, gateway_refund_id, lease_owner, lease_expires_at, sent_at, event_sequence, next_check_at, checks,
                created_at, succeeded_at, failed_at
           from refunds where charge_id = $1 order by id",
        charge.uuid(),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Columns::read).collect()
}

/// Returns a page of a merchant's refunds, newest first, and true if more follow. `charge` limits them to that charge.
pub async fn list(
    db: &mut PgConnection,
    (merchant, mode): (MerchantId, Mode),
    charge: Option<ChargeId>,
    range: Range,
) -> Result<(Vec<Refund>, bool), StoreError> {
    let rows = sqlx::query_as!(
        Columns,
        "select id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, status, origin, amount, reason, metadata,
                failure, gateway_request, gateway_refund_id, lease_owner, lease_expires_at, sent_at, event_sequence, next_check_at, checks,
                created_at, succeeded_at, failed_at
           from refunds
          where merchant_id = $1 and mode = $2 and ($3::uuid is null or charge_id = $3)
            and ($4::uuid is null or id < $4) and ($5::uuid is null or id > $5)
          order by case when $5::uuid is null then id end desc, case when $5::uuid is not null then id end
          limit $6",
        merchant.uuid(),
        mode.as_ref(),
        charge.map(ChargeId::uuid),
        range.after,
        range.before,
        range.fetch(),
    )
    .fetch_all(db)
    .await?;
    let (rows, more) = range.cut(rows);
    let refunds = rows
        .into_iter()
        .map(|row| Ok(row.read()?.shown()))
        .collect::<Result<Vec<_>, StoreError>>()?;
    Ok((refunds, more))
}

/// Leases a refund to a worker until `lease_expires_at`, and stores the request to the gateway unless one is stored. The caller holds the
/// charge's lock.
pub async fn claim(
    db: &mut PgConnection,
    id: RefundId,
    (lease_owner, lease_expires_at): (Uuid, DateTime<Utc>),
    order: &Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update refunds
            set lease_owner = $2, lease_expires_at = $3, next_check_at = $3, gateway_request = coalesce(gateway_request, $4)
          where id = $1",
        id.uuid(),
        lease_owner,
        lease_expires_at,
        order,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Records that a refund is sent, before the first byte leaves; `sent` is false to clear the time if no byte left.
pub async fn set_sent(db: &mut PgConnection, id: RefundId, sent: bool) -> Result<(), StoreError> {
    sqlx::query!(
        "update refunds set sent_at = case when $2 then coalesce(sent_at, app_now()) end where id = $1",
        id.uuid(),
        sent,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Moves a refund if the transition table allows it. The caller holds the charge's lock and updates the charge's sums.
pub async fn transition(
    db: &mut PgConnection,
    row: &mut RefundRow,
    next: RefundStatus,
    failure: Option<&GatewayFailure>,
) -> Result<bool, StoreError> {
    if !row.status.may_become(next) {
        return Ok(false);
    }
    let failure = match failure {
        Some(failure) => Some(erase::storable(db, row.charge, failure).await?),
        None => None,
    };
    sqlx::query!(
        "update refunds
            set status = $2, failure = coalesce($3, failure), next_check_at = null,
                succeeded_at = case when $2 = 'succeeded' then app_now() else succeeded_at end,
                failed_at = case when $2 = 'failed' then app_now() else failed_at end
          where id = $1",
        row.id.uuid(),
        next.as_ref(),
        failure.as_ref().map(to_json),
    )
    .execute(db)
    .await?;
    row.status = next;
    row.next_check_at = None;
    Ok(true)
}

/// Stores the gateway's id of a refund, unless one is stored.
pub async fn set_gateway_id(
    db: &mut PgConnection,
    row: &mut RefundRow,
    gateway_refund_id: &str,
) -> Result<(), StoreError> {
    if row.gateway_refund_id.is_some() {
        return Ok(());
    }
    sqlx::query!(
        "update refunds set gateway_refund_id = $2 where id = $1",
        row.id.uuid(),
        gateway_refund_id,
    )
    .execute(db)
    .await?;
    row.gateway_refund_id = Some(gateway_refund_id.to_owned());
    Ok(())
}

/// Schedules the next check and releases the lease.
pub async fn set_next_check(
    db: &mut PgConnection,
    id: RefundId,
    next_check_at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update refunds set next_check_at = $2, checks = checks + 1, lease_expires_at = null, lease_owner = null where id = $1",
        id.uuid(),
        next_check_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes the event of a refund's current status. Returns the deliveries to start after the commit. The caller holds the charge's lock.
pub async fn append_event(
    db: &mut PgConnection,
    row: &mut RefundRow,
) -> Result<Vec<PendingDelivery>, StoreError> {
    row.event_sequence += 1;
    sqlx::query!(
        "update refunds set event_sequence = $2 where id = $1",
        row.id.uuid(),
        row.event_sequence,
    )
    .execute(&mut *db)
    .await?;
    let new = events::NewEvent {
        merchant: row.merchant,
        mode: row.mode,
        kind: event::EventType::of_refund(row.status),
        subject: event::EventSubjectKind::Refund,
        subject_id: row.id.uuid(),
        sequence: row.event_sequence,
        data: to_json(&row.shown()),
    };
    Ok(events::append(db, &new).await?.1)
}
