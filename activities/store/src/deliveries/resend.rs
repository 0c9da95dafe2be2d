//! Delivering an event once more: a new delivery of the same event.

use schemas::{
    delivery::State,
    event::SubjectKind,
    gateway::Mode,
    id::{DeliveryId, EndpointId, EventId, MerchantId},
};
use sqlx::PgConnection;

use super::Due;
use crate::{StoreError, error::parse};

/// An event's address.
#[derive(Clone, Copy, Debug)]
pub struct About {
    pub event: EventId,
    pub merchant: MerchantId,
    pub mode: Mode,
}

/// The event of that id.
pub async fn event(db: &mut PgConnection, id: EventId) -> Result<Option<About>, StoreError> {
    let row = sqlx::query!(
        "select merchant_id, mode from events where id = $1",
        id.uuid()
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(About {
            event: id,
            merchant: row.merchant_id.into(),
            mode: parse("events.mode", &row.mode)?,
        })
    })
    .transpose()
}

/// A delivery of an event.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub about: About,
    pub endpoint: EndpointId,
    pub state: State,
}

/// Locks the delivery of that id until the transaction ends.
pub async fn lock(db: &mut PgConnection, id: DeliveryId) -> Result<Option<Known>, StoreError> {
    let row = sqlx::query!(
        "select merchant_id, mode, event_id, endpoint_id, state from deliveries where id = $1 for update",
        id.uuid(),
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(Known {
            about: About {
                event: row.event_id.into(),
                merchant: row.merchant_id.into(),
                mode: parse("deliveries.mode", &row.mode)?,
            },
            endpoint: row.endpoint_id.into(),
            state: parse("deliveries.state", &row.state)?,
        })
    })
    .transpose()
}

/// Writes a delivery of an event for each endpoint that listens for it, or for that one whatever it listens for; the answer is what
/// to start after the commit, and is empty without such an endpoint.
pub async fn insert(
    db: &mut PgConnection,
    about: About,
    endpoint: Option<EndpointId>,
) -> Result<Vec<Due>, StoreError> {
    let targets = sqlx::query!(
        "select w.id, v.type, v.subject_id, v.subject_type
           from events v join webhook_endpoints w on w.merchant_id = v.merchant_id and w.mode = v.mode
          where v.id = $1 and w.status <> 'deleted'
            and case when $2::uuid is null then w.events = '{}' or v.type = any(w.events) else w.id = $2 end
          order by w.id",
        about.event.uuid(),
        endpoint.map(EndpointId::uuid),
    )
    .fetch_all(&mut *db)
    .await?;
    let mut due = Vec::with_capacity(targets.len());
    for target in targets {
        let id = crate::new_id();
        sqlx::query!(
            "insert into deliveries (id, merchant_id, mode, event_id, event_type, subject_id, endpoint_id, look_at)
             values ($1, $2, $3, $4, $5, $6, $7, app_now())",
            id,
            about.merchant.uuid(),
            about.mode.as_ref(),
            about.event.uuid(),
            target.r#type,
            target.subject_id,
            target.id,
        )
        .execute(&mut *db)
        .await?;
        let subject: SubjectKind = parse("events.subject_type", &target.subject_type)?;
        let charge = (subject == SubjectKind::Charge).then_some(target.subject_id);
        due.push(Due::again(id, about.merchant.uuid(), target.id, charge));
    }
    Ok(due)
}

/// Makes a pending delivery due now.
pub async fn hasten(db: &mut PgConnection, id: DeliveryId) -> Result<(), StoreError> {
    sqlx::query!(
        "update deliveries set look_at = app_now() where id = $1 and state = 'pending'",
        id.uuid(),
    )
    .execute(db)
    .await?;
    Ok(())
}
