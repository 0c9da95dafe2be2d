//! Deliveries: one event for one endpoint, retried until the endpoint accepts it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use schemas::{
    delivery::DeliveryState,
    event::{Event, EventSubjectKind},
    gateway::Mode,
    id::{ChargeId, DeliveryId, EndpointId, EventId, MerchantId},
    webhook_endpoint,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, error::parse, sweep::interval};

pub mod given_up;
pub mod queue;
pub mod resend;

/// Committed delivery whose workflow must be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingDelivery {
    pub delivery: DeliveryId,
    pub merchant: MerchantId,
    pub endpoint: EndpointId,
    /// Charge that is the subject of its event, if any.
    pub charge: Option<ChargeId>,
    /// True if its endpoint was slow recently.
    pub slow: bool,
    /// Time that its workflow waits before the first attempt.
    pub after_ms: u64,
}

/// Data for one attempt of a delivery.
#[derive(Debug)]
pub struct DeliveryJob {
    pub delivery: DeliveryId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub state: DeliveryState,
    pub attempts: i32,
    pub created_at: DateTime<Utc>,
    pub event: Event,
    pub endpoint: EndpointId,
    pub url: String,
    pub secret_sealed: Vec<u8>,
    pub endpoint_status: webhook_endpoint::WebhookEndpointStatus,
    /// Consecutive failures of the endpoint.
    pub failures: i32,
    pub slow_until: Option<DateTime<Utc>>,
    /// Time when the delivery is due. `None`: parked until its endpoint assigns it a turn.
    pub next_check_at: Option<DateTime<Utc>>,
    /// True if `next_check_at` is a turn at its endpoint.
    pub has_turn: bool,
    pub terms: EndpointTerms,
    /// Time until which the endpoint's turns are assigned.
    pub next_turn_at: Option<DateTime<Utc>>,
    /// True if the endpoint's parked deliveries are being assigned their turns.
    pub draining: bool,
    pub now: DateTime<Utc>,
}

/// Limits and speed of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointTerms {
    pub rate_per_s: u32,
    /// Maximum number of POSTs in flight.
    pub slots: u32,
    /// Smoothed response time, as last written. Zero if it was never written.
    pub answer: Duration,
}

impl EndpointTerms {
    pub(crate) fn read(rate_per_s: i32, slots: i32, answer_ms: Option<i32>) -> Self {
        let positive = |n: i32| u32::try_from(n).unwrap_or(1).max(1);
        let answer_ms = u64::try_from(answer_ms.unwrap_or(0)).unwrap_or(0);
        Self {
            rate_per_s: positive(rate_per_s),
            slots: positive(slots),
            answer: Duration::from_millis(answer_ms),
        }
    }
}

/// Returns a delivery with its event and endpoint.
pub async fn load(
    db: &mut PgConnection,
    id: DeliveryId,
) -> Result<Option<DeliveryJob>, StoreError> {
    let row = sqlx::query!(
        r#"select d.merchant_id, d.mode, d.state, d.attempts, d.created_at, d.endpoint_id, d.next_check_at, d.has_turn,
                  v.id as event_id, v.type as event_type, v.subject_type, v.subject_id, v.sequence, v.data,
                  v.created_at as event_created_at,
                  w.url, w.api_version, w.secret_sealed, w.status as endpoint_status, w.failures, w.slow_until,
                  w.rate_per_s, w.slots, w.answer_ms, w.next_turn_at, w.draining,
                  app_now() as "now!"
             from deliveries d
             join events v on v.id = d.event_id
             join webhook_endpoints w on w.id = d.endpoint_id and w.merchant_id = d.merchant_id and w.mode = d.mode
            where d.id = $1"#,
        id.uuid(),
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let mode = parse("deliveries.mode", &row.mode)?;
    let subject: EventSubjectKind = parse("events.subject_type", &row.subject_type)?;
    let event = Event {
        id: EventId(row.event_id),
        kind: parse("events.type", &row.event_type)?,
        api_version: row.api_version,
        mode,
        created_at: row.event_created_at,
        subject: subject.name(row.subject_id),
        sequence: row.sequence,
        data: row.data,
    };
    Ok(Some(DeliveryJob {
        delivery: id,
        merchant: row.merchant_id.into(),
        mode,
        state: parse("deliveries.state", &row.state)?,
        attempts: row.attempts,
        created_at: row.created_at,
        event,
        endpoint: row.endpoint_id.into(),
        url: row.url,
        secret_sealed: row.secret_sealed,
        endpoint_status: parse("webhook_endpoints.status", &row.endpoint_status)?,
        failures: row.failures,
        slow_until: row.slow_until,
        next_check_at: row.next_check_at,
        has_turn: row.has_turn,
        terms: EndpointTerms::read(row.rate_per_s, row.slots, row.answer_ms),
        next_turn_at: row.next_turn_at,
        draining: row.draining,
        now: row.now,
    }))
}

/// Result of one POST, to record.
#[derive(Debug)]
pub struct DeliveryResult<'a> {
    pub status: Option<u16>,
    /// Transport error, if no response was received.
    pub error: Option<&'a str>,
    pub duration_ms: i64,
    /// New state of the delivery.
    pub state: DeliveryState,
    /// Time of the next attempt of a delivery that stays pending. `None`: it is parked.
    pub next_check_at: Option<DateTime<Utc>>,
}

/// Records one attempt in one statement. A delivery that is no longer pending is not changed.
pub async fn record_attempt(
    db: &mut PgConnection,
    work: &DeliveryJob,
    tried: &DeliveryResult<'_>,
) -> Result<(), StoreError> {
    let result = tried.status.map_or_else(
        || tried.error.unwrap_or("no answer").to_owned(),
        |s| s.to_string(),
    );
    sqlx::query!(
        "with tried as (
             update deliveries
                set attempts = attempts + 1, state = $2, next_check_at = $3, has_turn = false, last_result = $4,
                    delivered_at = case when $2 = 'delivered' then app_now() end
              where id = $1 and state = 'pending'
             returning attempts)
         insert into delivery_attempts (id, merchant_id, mode, delivery_id, n, status, error, duration_ms)
         select $5, $6, $7, $1, coalesce((select attempts from tried), $8), $9, $10, $11",
        work.delivery.uuid(),
        tried.state.as_ref(),
        tried.next_check_at,
        result,
        crate::new_id(),
        work.merchant.uuid(),
        work.mode.as_ref(),
        work.attempts + 1,
        tried.status.map(i32::from),
        tried.error,
        tried.duration_ms,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Discards a pending delivery whose endpoint was deleted.
pub async fn discard(db: &mut PgConnection, id: DeliveryId) -> Result<(), StoreError> {
    sqlx::query!("update deliveries set state = 'discarded', next_check_at = null, has_turn = false where id = $1 and state = 'pending'", id.uuid())
        .execute(db)
        .await?;
    Ok(())
}

/// Change of an endpoint's health by one result.
#[derive(Debug, PartialEq, Eq)]
pub enum EndpointHealth {
    Unchanged,
    /// It was paused and is active again.
    Resumed,
    /// It failed for too long; its deliveries wait.
    Paused,
}

/// Records that an endpoint accepted a delivery. A paused endpoint becomes active and is drained. Does not write a healthy endpoint's row.
pub async fn endpoint_accepted(
    db: &mut PgConnection,
    work: &DeliveryJob,
) -> Result<EndpointHealth, StoreError> {
    if work.failures == 0 && work.endpoint_status == webhook_endpoint::WebhookEndpointStatus::Active
    {
        return Ok(EndpointHealth::Unchanged);
    }
    let resumed = sqlx::query_scalar!(
        r#"update webhook_endpoints
              set failures = 0, failing_since = null, paused_at = null,
                  status = case when status = 'paused' then 'active' else status end,
                  draining = draining or status = 'paused',
                  next_check_at = case when status = 'paused' then app_now() else next_check_at end
            where id = $1
           returning old.status = 'paused' as "resumed!""#,
        work.endpoint.uuid(),
    )
    .fetch_one(db)
    .await?;
    Ok(if resumed {
        EndpointHealth::Resumed
    } else {
        EndpointHealth::Unchanged
    })
}

/// Limits of consecutive failures and their duration that pause an endpoint, and the interval of probes while it is paused.
#[derive(Clone, Copy, Debug)]
pub struct PausePolicy {
    pub failures: i32,
    pub over: chrono::TimeDelta,
    pub probe_every: chrono::TimeDelta,
}

/// Records that an endpoint did not accept a delivery. `gone` (status 410) pauses it immediately.
pub async fn endpoint_failed(
    db: &mut PgConnection,
    work: &DeliveryJob,
    gone: bool,
    policy: PausePolicy,
) -> Result<EndpointHealth, StoreError> {
    let now_paused = sqlx::query_scalar!(
        r#"with verdict as (
               select status = 'active' and ($2 or (failures + 1 >= $3
                      and coalesce(failing_since, app_now()) <= app_now() - $4::interval)) as pause
                 from webhook_endpoints where id = $1 for no key update)
           update webhook_endpoints w
              set failures = w.failures + 1,
                  failing_since = coalesce(w.failing_since, app_now()),
                  status = case when verdict.pause then 'paused' else w.status end,
                  paused_at = case when verdict.pause then app_now() else w.paused_at end,
                  draining = w.draining and not verdict.pause,
                  next_check_at = case when verdict.pause then app_now() + $5::interval else w.next_check_at end
             from verdict
            where w.id = $1
           returning verdict.pause as "pause!""#,
        work.endpoint.uuid(),
        gone,
        policy.failures,
        interval(policy.over),
        interval(policy.probe_every),
    )
    .fetch_one(db)
    .await?;
    Ok(if now_paused {
        EndpointHealth::Paused
    } else {
        EndpointHealth::Unchanged
    })
}

/// Records an endpoint's response time and the time until which it counts as slow.
pub async fn endpoint_answers(
    db: &mut PgConnection,
    endpoint: EndpointId,
    answer: Duration,
    slow_until: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update webhook_endpoints set answer_ms = $2, slow_until = coalesce($3, slow_until) where id = $1",
        endpoint.uuid(),
        i32::try_from(answer.as_millis()).unwrap_or(i32::MAX),
        slow_until,
    )
    .execute(db)
    .await?;
    Ok(())
}

impl PendingDelivery {
    /// Returns the delivery for a workflow that the sweep starts again.
    pub fn again(delivery: Uuid, merchant: Uuid, endpoint: Uuid, charge: Option<Uuid>) -> Self {
        Self {
            delivery: delivery.into(),
            merchant: merchant.into(),
            endpoint: endpoint.into(),
            charge: charge.map(Into::into),
            slow: true,
            after_ms: 0,
        }
    }
}

#[cfg(test)]
mod tests;
