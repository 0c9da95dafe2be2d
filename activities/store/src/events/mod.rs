//! Events. They are written together with their deliveries.

use schemas::{
    charge::Charge,
    event::{EventSubjectKind, EventType},
    gateway::Mode,
    id::MerchantId,
    mask::MaskedPayer,
};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, deliveries::PendingDelivery, error::to_json, outbox::NewMessage};

pub mod list;
pub mod order;

/// Event to write.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub id: Uuid,
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

/// Writes one event; see [`append_all`].
pub async fn append(
    db: &mut PgConnection,
    new: NewEvent,
) -> Result<Vec<PendingDelivery>, StoreError> {
    append_all(db, &[new], &[]).await
}

/// Writes the events of one merchant and mode, and one delivery of each for each endpoint that subscribes to it, and the messages, in one
/// statement. Returns the deliveries to start after the commit. Deliveries to paused and draining endpoints are parked: their endpoints start them.
pub async fn append_all(
    db: &mut PgConnection,
    new: &[NewEvent],
    messages: &[NewMessage],
) -> Result<Vec<PendingDelivery>, StoreError> {
    let Some(first) = new.first() else {
        return Ok(Vec::new());
    };
    let texts = |text: fn(&NewEvent) -> &str| new.iter().map(|e| text(e).to_owned()).collect();
    let (kinds, subjects): (Vec<String>, Vec<String>) =
        (texts(|e| e.kind.as_ref()), texts(|e| e.subject.as_ref()));
    let ids: Vec<_> = new.iter().map(|e| e.id).collect();
    let subject_ids: Vec<_> = new.iter().map(|e| e.subject_id).collect();
    let sequences: Vec<_> = new.iter().map(|e| e.sequence).collect();
    let data: Vec<_> = new.iter().map(|e| e.data.clone()).collect();
    let topics: Vec<_> = messages
        .iter()
        .map(|m| m.topic.as_ref().to_owned())
        .collect();
    let keys: Vec<_> = messages.iter().map(|m| m.key.clone()).collect();
    let bodies: Vec<_> = messages.iter().map(|m| m.message.clone()).collect();
    let rows = sqlx::query_as!(
        AddedDelivery,
        r#"with message as (
               insert into outbox (topic, key, message)
               select topic, key, message
                 from unnest($9::text[], $10::text[], $11::jsonb[]) with ordinality as m (topic, key, message, position)
                order by position),
           new as materialized (
               select * from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::bigint[], $6::jsonb[])
                          with ordinality as n (id, type, subject_type, subject_id, sequence, data, position)),
           event as (
               insert into events (id, merchant_id, mode, type, subject_type, subject_id, sequence, data)
               select id, $7, $8, type, subject_type, subject_id, sequence, data from new order by position),
           target as materialized (
               select w.id, coalesce(w.slow_until > app_now(), false) as slow, w.status = 'paused' or w.draining as parked,
                      n.id as event_id, n.type, n.subject_id, n.position
                 from webhook_endpoints w join new n on w.events = '{}' or n.type = any(w.events)
                where w.merchant_id = $7 and w.mode = $8 and w.status <> 'deleted'),
           delivery as (
               insert into deliveries (id, merchant_id, mode, event_id, event_type, subject_id, endpoint_id, next_check_at)
               select uuidv7(), $7, $8, event_id, type, subject_id, id, case when not parked then app_now() end
                 from target order by position, id
               returning id, event_id, endpoint_id)
           select d.id, d.event_id, d.endpoint_id, t.slow as "slow!"
             from delivery d join target t on t.id = d.endpoint_id and t.event_id = d.event_id
            where not t.parked
            order by d.id"#,
        &ids,
        &kinds,
        &subjects,
        &subject_ids,
        &sequences,
        &data,
        first.merchant.uuid(),
        first.mode.as_ref(),
        &topics,
        &keys,
        &bodies,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| row.pending(new)).collect())
}

/// Delivery that was inserted with its event.
struct AddedDelivery {
    id: Uuid,
    event_id: Uuid,
    endpoint_id: Uuid,
    slow: bool,
}

impl AddedDelivery {
    fn pending(self, new: &[NewEvent]) -> PendingDelivery {
        let event = new.iter().find(|event| event.id == self.event_id);
        let event = event.unwrap_or(&new[0]);
        PendingDelivery {
            delivery: self.id.into(),
            merchant: event.merchant,
            endpoint: self.endpoint_id.into(),
            charge: (event.subject == EventSubjectKind::Charge).then(|| event.subject_id.into()),
            slow: self.slow,
            after_ms: 0,
        }
    }
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
