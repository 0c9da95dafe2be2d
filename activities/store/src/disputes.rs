//! Disputes as reported by gateways. Their status changes through the transition table.

use chrono::{DateTime, Utc};
use schemas::{
    dispute::{Dispute, DisputeKind, DisputeStatus},
    event,
    gateway::{GatewayKind, Mode},
    id::{ChargeId, ConnectionId, DisputeId, MerchantId, PaymentId},
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    StoreError,
    charges::LockedCharge,
    error::{parse, to_json},
    events,
    page::Range,
};

/// Row of `disputes`. Every change requires its charge's lock.
#[derive(Clone, Debug)]
pub struct DisputeRow {
    pub merchant: MerchantId,
    pub event_sequence: i64,
    pub shown: Dispute,
}

/// Dispute to insert.
#[derive(Debug)]
pub struct NewDispute<'a> {
    pub id: DisputeId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub charge: ChargeId,
    pub payment: PaymentId,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub gateway_dispute_id: &'a str,
    pub kind: DisputeKind,
    pub status: DisputeStatus,
    pub amount: i64,
    pub reason: Option<&'a str>,
    pub respond_by: Option<DateTime<Utc>>,
}

struct Columns {
    id: Uuid,
    merchant_id: Uuid,
    mode: String,
    charge_id: Uuid,
    payment_id: Uuid,
    gateway: String,
    gateway_dispute_id: String,
    kind: String,
    status: String,
    amount: i64,
    reason: Option<String>,
    respond_by: Option<DateTime<Utc>>,
    event_sequence: i64,
    created_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
}

impl Columns {
    fn read(self) -> Result<DisputeRow, StoreError> {
        let shown = Dispute {
            id: self.id.into(),
            mode: parse("disputes.mode", &self.mode)?,
            charge: self.charge_id.into(),
            payment: self.payment_id.into(),
            gateway: parse("disputes.gateway", &self.gateway)?,
            gateway_dispute_id: self.gateway_dispute_id,
            kind: parse("disputes.kind", &self.kind)?,
            status: parse("disputes.status", &self.status)?,
            amount: self.amount,
            reason: self.reason,
            respond_by: self.respond_by,
            created_at: self.created_at,
            closed_at: self.closed_at,
        };
        Ok(DisputeRow {
            merchant: self.merchant_id.into(),
            event_sequence: self.event_sequence,
            shown,
        })
    }
}

/// Inserts a dispute. The caller holds the charge's lock and adds the amount to the charge's sum.
pub async fn insert(db: &mut PgConnection, new: &NewDispute<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into disputes (id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, gateway_dispute_id, kind,
                               status, amount, reason, respond_by, closed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, case when $10 in ('won', 'lost') then app_now() end)",
        new.id.uuid(),
        new.merchant.uuid(),
        new.mode.as_ref(),
        new.charge.uuid(),
        new.payment.uuid(),
        new.connection.uuid(),
        new.gateway.as_ref(),
        new.gateway_dispute_id,
        new.kind.as_ref(),
        new.status.as_ref(),
        new.amount,
        new.reason,
        new.respond_by,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Returns a charge's disputes, oldest first.
pub async fn of_charge(
    db: &mut PgConnection,
    charge: ChargeId,
) -> Result<Vec<DisputeRow>, StoreError> {
    let rows = sqlx::query_as!(
        Columns,
        "select id, merchant_id, mode, charge_id, payment_id, gateway, gateway_dispute_id, kind, status, amount, reason,
                respond_by, event_sequence, created_at, closed_at
           from disputes where charge_id = $1 order by id",
        charge.uuid(),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Columns::read).collect()
}

/// Returns the dispute, if it belongs to this merchant and mode.
pub async fn find(
    db: &mut PgConnection,
    (merchant, mode): (MerchantId, Mode),
    id: DisputeId,
) -> Result<Option<Dispute>, StoreError> {
    let row = sqlx::query_as!(
        Columns,
        "select id, merchant_id, mode, charge_id, payment_id, gateway, gateway_dispute_id, kind, status, amount, reason,
                respond_by, event_sequence, created_at, closed_at
           from disputes where id = $1 and merchant_id = $2 and mode = $3",
        id.uuid(),
        merchant.uuid(),
        mode.as_ref(),
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| Ok(row.read()?.shown)).transpose()
}

/// Returns a page of a merchant's disputes, newest first, and true if more follow. `charge` limits them to that charge.
pub async fn list(
    db: &mut PgConnection,
    (merchant, mode): (MerchantId, Mode),
    charge: Option<ChargeId>,
    range: Range,
) -> Result<(Vec<Dispute>, bool), StoreError> {
    let rows = sqlx::query_as!(
        Columns,
        "select id, merchant_id, mode, charge_id, payment_id, gateway, gateway_dispute_id, kind, status, amount, reason,
                respond_by, event_sequence, created_at, closed_at
           from disputes
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
    let disputes = rows
        .into_iter()
        .map(|row| Ok(row.read()?.shown))
        .collect::<Result<Vec<_>, StoreError>>()?;
    Ok((disputes, more))
}

/// Moves a dispute if the transition table allows it. The caller holds the charge's lock and updates the charge's sum.
pub async fn transition(
    db: &mut PgConnection,
    row: &mut DisputeRow,
    next: DisputeStatus,
) -> Result<bool, StoreError> {
    if !row.shown.status.may_become(next) {
        return Ok(false);
    }
    row.shown.closed_at = sqlx::query_scalar!(
        "update disputes
            set status = $2, closed_at = case when $2 in ('won', 'lost') then app_now() end
          where id = $1 returning closed_at",
        row.shown.id.uuid(),
        next.as_ref(),
    )
    .fetch_one(db)
    .await?;
    row.shown.status = next;
    Ok(true)
}

/// Adds the event of a dispute's current status to its locked charge.
pub async fn append_event(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    row: &mut DisputeRow,
) -> Result<(), StoreError> {
    row.event_sequence += 1;
    sqlx::query!(
        "update disputes set event_sequence = $2 where id = $1",
        row.shown.id.uuid(),
        row.event_sequence,
    )
    .execute(db)
    .await?;
    charge.add_event(events::NewEvent {
        id: crate::new_id(),
        merchant: row.merchant,
        mode: row.shown.mode,
        kind: event::EventType::of_dispute(row.shown.status),
        subject: event::EventSubjectKind::Dispute,
        subject_id: row.shown.id.uuid(),
        sequence: row.event_sequence,
        data: to_json(&row.shown),
    });
    Ok(())
}

#[cfg(test)]
mod tests;
