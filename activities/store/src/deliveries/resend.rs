//! Manual redelivery of events: each creates a new delivery of the same event.

use schemas::{
    delivery::DeliveryState,
    event::EventSubjectKind,
    gateway::Mode,
    id::{DeliveryId, EndpointId, EventId, MerchantId},
};
use sqlx::PgConnection;

use super::PendingDelivery;
use crate::{StoreError, error::parse};

/// Event with its tenant.
#[derive(Clone, Copy, Debug)]
pub struct About {
    pub event: EventId,
    pub merchant: MerchantId,
    pub mode: Mode,
}

/// Returns the event's tenant, or `None` if there is no such event.
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

/// Delivery of an event.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub about: About,
    pub endpoint: EndpointId,
    pub state: DeliveryState,
}

/// Locks the delivery with that id until the transaction ends.
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

/// New deliveries of an event.
#[derive(Debug, Default)]
pub struct Resent {
    pub ids: Vec<DeliveryId>,
    /// Deliveries to start after the commit. Excludes those that are parked because the endpoint is paused or draining.
    pub due: Vec<PendingDelivery>,
}

/// Inserts a delivery of an event for each endpoint that subscribes to it, or only for `endpoint`, independent of its subscriptions.
/// Inserts none if there is no such endpoint.
pub async fn insert(
    db: &mut PgConnection,
    about: About,
    endpoint: Option<EndpointId>,
) -> Result<Resent, StoreError> {
    let targets = sqlx::query!(
        r#"select w.id, w.status = 'paused' or w.draining as "parked!", v.type, v.subject_id, v.subject_type
           from events v join webhook_endpoints w on w.merchant_id = v.merchant_id and w.mode = v.mode
          where v.id = $1 and w.status <> 'deleted'
            and case when $2::uuid is null then w.events = '{}' or v.type = any(w.events) else w.id = $2 end
          order by w.id"#,
        about.event.uuid(),
        endpoint.map(EndpointId::uuid),
    )
    .fetch_all(&mut *db)
    .await?;
    let mut resent = Resent::default();
    for target in targets {
        let id = crate::new_id();
        sqlx::query!(
            "insert into deliveries (id, merchant_id, mode, event_id, event_type, subject_id, endpoint_id, next_check_at)
             values ($1, $2, $3, $4, $5, $6, $7, case when not $8 then app_now() end)",
            id,
            about.merchant.uuid(),
            about.mode.as_ref(),
            about.event.uuid(),
            target.r#type,
            target.subject_id,
            target.id,
            target.parked,
        )
        .execute(&mut *db)
        .await?;
        let subject: EventSubjectKind = parse("events.subject_type", &target.subject_type)?;
        let charge = (subject == EventSubjectKind::Charge).then_some(target.subject_id);
        resent.ids.push(id.into());
        if !target.parked {
            let due = PendingDelivery::again(id, about.merchant.uuid(), target.id, charge);
            resent.due.push(due);
        }
    }
    Ok(resent)
}

/// Makes a pending delivery due now. Returns false if it is not pending or is parked; only its endpoint unparks it.
pub async fn retry_now(db: &mut PgConnection, id: DeliveryId) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update deliveries set next_check_at = app_now() where id = $1 and state = 'pending' and next_check_at is not null",
        id.uuid(),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}
