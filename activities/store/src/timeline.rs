//! Timelines of charges, collected from all tables with entries about them.

use schemas::{
    attempt::{Attempt, AttemptError},
    delivery::Delivery,
    gateway::Mode,
    id::{ChargeId, MerchantId},
    timeline::{Timeline, TimelineEntry, TimelineItem},
};
use sqlx::PgConnection;

use crate::{StoreError, disputes, error::parse, refunds};

/// Returns a charge's timeline, or `None` if this merchant has no such charge in that mode.
pub async fn of_charge(
    db: &mut PgConnection,
    merchant: MerchantId,
    mode: Mode,
    charge: ChargeId,
) -> Result<Option<Timeline>, StoreError> {
    let known = sqlx::query!(
        "select id from charges where id = $1 and merchant_id = $2 and mode = $3",
        charge.uuid(),
        merchant.uuid(),
        mode.as_ref(),
    )
    .fetch_optional(&mut *db)
    .await?;
    if known.is_none() {
        return Ok(None);
    }
    let mut data = attempts(db, charge).await?;
    data.extend(events(db, charge).await?);
    data.extend(notifications(db, charge).await?);
    data.extend(deliveries(db, charge).await?);
    data.extend(
        refunds::of_charge(db, charge)
            .await?
            .iter()
            .map(|row| TimelineEntry {
                at: row.created_at,
                what: TimelineItem::Refund {
                    refund: row.shown(),
                },
            }),
    );
    data.extend(
        disputes::of_charge(db, charge)
            .await?
            .into_iter()
            .map(|row| TimelineEntry {
                at: row.shown.created_at,
                what: TimelineItem::Dispute { dispute: row.shown },
            }),
    );
    data.sort_by_key(|entry| entry.at);
    Ok(Some(Timeline { data }))
}

async fn attempts(
    db: &mut PgConnection,
    charge: ChargeId,
) -> Result<Vec<TimelineEntry>, StoreError> {
    let rows = sqlx::query!(
        "select id, n, gateway, connection_id, reason, state, error_class, error_code, error_message, started_at, ended_at,
                duration_ms
           from attempts where charge_id = $1 order by n",
        charge.uuid(),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let error = match row.error_class {
                Some(class) => Some(AttemptError {
                    class: parse("attempts.error_class", &class)?,
                    code: row.error_code.unwrap_or_default(),
                    message: row.error_message.unwrap_or_default(),
                }),
                None => None,
            };
            let attempt = Attempt {
                id: row.id.into(),
                n: row.n,
                gateway: parse("attempts.gateway", &row.gateway)?,
                connection: row.connection_id.into(),
                reason: parse("attempts.reason", &row.reason)?,
                state: parse("attempts.state", &row.state)?,
                error,
                started_at: row.started_at,
                ended_at: row.ended_at,
                duration_ms: row.duration_ms,
            };
            Ok(TimelineEntry {
                at: row.started_at,
                what: TimelineItem::Attempt { attempt },
            })
        })
        .collect()
}

async fn events(db: &mut PgConnection, charge: ChargeId) -> Result<Vec<TimelineEntry>, StoreError> {
    let rows = sqlx::query!(
        "select id, type, sequence, created_at from events where subject_id = $1 order by sequence",
        charge.uuid(),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let what = TimelineItem::Event {
                id: row.id.into(),
                event: parse("events.type", &row.r#type)?,
                sequence: row.sequence,
            };
            Ok(TimelineEntry {
                at: row.created_at,
                what,
            })
        })
        .collect()
}

async fn notifications(
    db: &mut PgConnection,
    charge: ChargeId,
) -> Result<Vec<TimelineEntry>, StoreError> {
    let rows = sqlx::query!(
        "select f.notification_id, c.gateway, f.event, f.received_count, f.received_at, f.handled_at
           from observations f
           join gateway_connections c on c.id = f.connection_id and c.merchant_id = f.merchant_id and c.mode = f.mode
          where f.charge_id = $1 order by f.received_at, f.dedupe_key",
        charge.uuid(),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let what = TimelineItem::Notification {
                id: row.notification_id.map(Into::into),
                gateway: parse("gateway_connections.gateway", &row.gateway)?,
                event: row.event,
                received_count: row.received_count,
                handled_at: row.handled_at,
            };
            Ok(TimelineEntry {
                at: row.received_at,
                what,
            })
        })
        .collect()
}

async fn deliveries(
    db: &mut PgConnection,
    charge: ChargeId,
) -> Result<Vec<TimelineEntry>, StoreError> {
    let rows = sqlx::query!(
        "select id, event_id, event_type, endpoint_id, state, attempts, next_check_at, last_result, created_at, delivered_at
           from deliveries where subject_id = $1 order by id",
        charge.uuid(),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let delivery = Delivery {
                id: row.id.into(),
                event: row.event_id.into(),
                event_type: parse("deliveries.event_type", &row.event_type)?,
                endpoint: row.endpoint_id.into(),
                state: parse("deliveries.state", &row.state)?,
                attempts: row.attempts,
                next_attempt_at: row.next_check_at,
                last_result: row.last_result,
                created_at: row.created_at,
                delivered_at: row.delivered_at,
            };
            Ok(TimelineEntry {
                at: row.created_at,
                what: TimelineItem::Delivery { delivery },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
