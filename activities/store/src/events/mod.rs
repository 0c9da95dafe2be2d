//! Events. They are written together with their deliveries.

use schemas::{
    charge::Charge,
    event::{EventSubjectKind, EventType},
    gateway::Mode,
    id::{EventId, MerchantId},
    mask::MaskedPayer,
};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, deliveries::PendingDelivery, error::to_json};

pub mod list;
pub mod order;

/// Event to write.
#[derive(Debug)]
pub struct NewEvent {
    pub merchant: MerchantId,
    pub mode: Mode,
    pub kind: EventType,
    pub subject: EventSubjectKind,
    pub subject_id: Uuid,
    /// Sequence number within the subject, from 1. The caller holds the subject's lock.
    pub sequence: i64,
    pub data: Value,
}

/// Returns a charge as event data, with the payer masked.
pub fn masked(charge: &Charge) -> Value {
    let mut data = to_json(charge);
    data["payer"] = charge
        .payer
        .as_ref()
        .map_or(Value::Null, |payer| to_json(&MaskedPayer::from(payer)));
    data
}

/// Writes an event and one delivery for each endpoint that subscribes to it. Returns the deliveries to start after the commit. Deliveries
/// to paused and draining endpoints are parked: their endpoints start them.
pub async fn append(
    db: &mut PgConnection,
    new: &NewEvent,
) -> Result<(EventId, Vec<PendingDelivery>), StoreError> {
    let id = crate::new_id();
    let rows = sqlx::query!(
        r#"with event as (
               insert into events (id, merchant_id, mode, type, subject_type, subject_id, sequence, data)
               values ($1, $2, $3, $4, $5, $6, $7, $8)),
           target as (
               select id, coalesce(slow_until > app_now(), false) as slow, status = 'paused' or draining as parked
                 from webhook_endpoints
                where merchant_id = $2 and mode = $3 and status <> 'deleted' and (events = '{}' or $4 = any(events))),
           delivery as (
               insert into deliveries (id, merchant_id, mode, event_id, event_type, subject_id, endpoint_id, next_check_at)
               select uuidv7(), $2, $3, $1, $4, $6, target.id, case when not target.parked then app_now() end from target
               returning id, endpoint_id)
           select delivery.id, delivery.endpoint_id, target.slow as "slow!"
             from delivery join target on target.id = delivery.endpoint_id
            where not target.parked
            order by delivery.id"#,
        id,
        new.merchant.uuid(),
        new.mode.as_ref(),
        new.kind.as_ref(),
        new.subject.as_ref(),
        new.subject_id,
        new.sequence,
        new.data,
    )
    .fetch_all(db)
    .await?;
    let due = rows
        .into_iter()
        .map(|row| PendingDelivery {
            delivery: row.id.into(),
            merchant: new.merchant,
            endpoint: row.endpoint_id.into(),
            charge: (new.subject == EventSubjectKind::Charge).then(|| new.subject_id.into()),
            slow: row.slow,
            after_ms: 0,
        })
        .collect();
    Ok((EventId(id), due))
}

/// Returns the next sequence number of a subject without its own counter. Locks the counter until the transaction ends.
pub async fn next_sequence(db: &mut PgConnection, subject: Uuid) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        "insert into event_sequences (subject_id, sequence) values ($1, 1)
         on conflict (subject_id) do update set sequence = event_sequences.sequence + 1
         returning sequence",
        subject,
    )
    .fetch_one(db)
    .await?)
}

#[cfg(test)]
mod tests;
