//! Refunds: reserved under the charge's lock, fenced by their runner, moved through their table.

use chrono::{DateTime, Utc};
use schemas::{
    charge::{GatewayFailure, Metadata},
    event,
    gateway::{GatewayKind, Mode},
    id::{ChargeId, ConnectionId, MerchantId, PaymentId, RefundId},
    refund::{Origin, Refund, Status},
};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    StoreError,
    deliveries::Due,
    error::{from_json_or_default, parse, to_json},
    events,
    page::Range,
};

/// A refund as the database holds it. Whoever changes one holds its charge's lock.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: RefundId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub charge: ChargeId,
    pub payment: PaymentId,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub status: Status,
    pub origin: Origin,
    pub amount: i64,
    pub reason: Option<String>,
    pub metadata: Metadata,
    pub failure: Option<GatewayFailure>,
    /// What is asked of the gateway; none where the gateway told us of it.
    pub order: Option<Value>,
    pub gateway_refund_id: Option<String>,
    pub runner: Option<Uuid>,
    pub deadline_at: Option<DateTime<Utc>>,
    pub sent_at: Option<DateTime<Utc>>,
    pub event_sequence: i64,
    pub look_at: Option<DateTime<Utc>>,
    pub looks: i32,
    pub created_at: DateTime<Utc>,
    pub succeeded_at: Option<DateTime<Utc>>,
    pub failed_at: Option<DateTime<Utc>>,
}

/// A refund to insert.
#[derive(Debug)]
pub struct New<'a> {
    pub id: RefundId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub charge: ChargeId,
    pub payment: PaymentId,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub status: Status,
    pub origin: Origin,
    pub amount: i64,
    pub reason: Option<&'a str>,
    pub metadata: &'a Metadata,
    pub gateway_refund_id: Option<&'a str>,
    pub look_at: Option<DateTime<Utc>>,
}

impl Row {
    /// As the API shows it.
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
    gateway_order: Option<Value>,
    gateway_refund_id: Option<String>,
    runner: Option<Uuid>,
    deadline_at: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
    event_sequence: i64,
    look_at: Option<DateTime<Utc>>,
    looks: i32,
    created_at: DateTime<Utc>,
    succeeded_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
}

impl Columns {
    fn read(self) -> Result<Row, StoreError> {
        Ok(Row {
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
            order: self.gateway_order,
            gateway_refund_id: self.gateway_refund_id,
            runner: self.runner,
            deadline_at: self.deadline_at,
            sent_at: self.sent_at,
            event_sequence: self.event_sequence,
            look_at: self.look_at,
            looks: self.looks,
            created_at: self.created_at,
            succeeded_at: self.succeeded_at,
            failed_at: self.failed_at,
        })
    }
}

/// Inserts a refund. The caller holds the charge's lock, and adds its amount to the charge's sums.
pub async fn insert(db: &mut PgConnection, new: &New<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into refunds (id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, status, origin, amount,
                              reason, metadata, gateway_refund_id, look_at, succeeded_at, failed_at)
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
        new.look_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The refund of that id.
pub async fn find(db: &mut PgConnection, id: RefundId) -> Result<Option<Row>, StoreError> {
    let row = sqlx::query_as!(
        Columns,
        "select id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, status, origin, amount, reason, metadata,
                failure, gateway_order, gateway_refund_id, runner, deadline_at, sent_at, event_sequence, look_at, looks,
                created_at, succeeded_at, failed_at
           from refunds where id = $1",
        id.uuid(),
    )
    .fetch_optional(db)
    .await?;
    row.map(Columns::read).transpose()
}

/// A charge's refunds, oldest first.
pub async fn of_charge(db: &mut PgConnection, charge: ChargeId) -> Result<Vec<Row>, StoreError> {
    let rows = sqlx::query_as!(
        Columns,
        "select id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, status, origin, amount, reason, metadata,
                failure, gateway_order, gateway_refund_id, runner, deadline_at, sent_at, event_sequence, look_at, looks,
                created_at, succeeded_at, failed_at
           from refunds where charge_id = $1 order by id",
        charge.uuid(),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Columns::read).collect()
}

/// A page of a merchant's refunds, newest first, and whether more follow. `charge`: only that charge's.
pub async fn list(
    db: &mut PgConnection,
    (merchant, mode): (MerchantId, Mode),
    charge: Option<ChargeId>,
    range: Range,
) -> Result<(Vec<Refund>, bool), StoreError> {
    let rows = sqlx::query_as!(
        Columns,
        "select id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, status, origin, amount, reason, metadata,
                failure, gateway_order, gateway_refund_id, runner, deadline_at, sent_at, event_sequence, look_at, looks,
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

/// Takes a refund for a runner, until then, with what is asked of the gateway, which is written once. The caller holds the
/// charge's lock.
pub async fn take(
    db: &mut PgConnection,
    id: RefundId,
    (runner, deadline_at): (Uuid, DateTime<Utc>),
    order: &Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update refunds
            set runner = $2, deadline_at = $3, look_at = $3, gateway_order = coalesce(gateway_order, $4)
          where id = $1",
        id.uuid(),
        runner,
        deadline_at,
        order,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// When a refund was first sent: written before the first byte leaves, and taken back where nothing left.
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

/// Moves a refund, if its table allows it. The caller holds the charge's lock, and keeps the charge's sums.
pub async fn shift(
    db: &mut PgConnection,
    row: &mut Row,
    next: Status,
    failure: Option<&GatewayFailure>,
) -> Result<bool, StoreError> {
    if !row.status.may_become(next) {
        return Ok(false);
    }
    sqlx::query!(
        "update refunds
            set status = $2, failure = coalesce($3, failure), look_at = null,
                succeeded_at = case when $2 = 'succeeded' then app_now() else succeeded_at end,
                failed_at = case when $2 = 'failed' then app_now() else failed_at end
          where id = $1",
        row.id.uuid(),
        next.as_ref(),
        failure.map(to_json),
    )
    .execute(db)
    .await?;
    row.status = next;
    row.look_at = None;
    Ok(true)
}

/// Remembers the gateway's id of a refund.
pub async fn name(
    db: &mut PgConnection,
    row: &mut Row,
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

/// When somebody must look again, which gives the refund free for whoever comes.
pub async fn set_look_at(
    db: &mut PgConnection,
    id: RefundId,
    look_at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update refunds set look_at = $2, looks = looks + 1, deadline_at = null, runner = null where id = $1",
        id.uuid(),
        look_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes the event that a refund's present status raises; the answer is the deliveries to start after the commit. The caller
/// holds the charge's lock.
pub async fn record(db: &mut PgConnection, row: &mut Row) -> Result<Vec<Due>, StoreError> {
    row.event_sequence += 1;
    sqlx::query!(
        "update refunds set event_sequence = $2 where id = $1",
        row.id.uuid(),
        row.event_sequence,
    )
    .execute(&mut *db)
    .await?;
    let new = events::New {
        merchant: row.merchant,
        mode: row.mode,
        kind: event::Type::of_refund(row.status),
        subject: event::SubjectKind::Refund,
        subject_id: row.id.uuid(),
        sequence: row.event_sequence,
        data: to_json(&row.shown()),
    };
    Ok(events::append(db, &new).await?.1)
}
