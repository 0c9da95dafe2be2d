//! Deliveries: one event for one endpoint, tried until it is accepted.

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

/// A committed delivery whose workflow is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingDelivery {
    pub delivery: DeliveryId,
    pub merchant: MerchantId,
    pub endpoint: EndpointId,
    /// The charge that its event is about, if it is about one.
    pub charge: Option<ChargeId>,
    /// Its endpoint has been slow lately.
    pub slow: bool,
    /// How long its workflow waits before the first try.
    pub after_ms: u64,
}

/// All that one try needs.
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
    /// The endpoint's failures in a row.
    pub failures: i32,
    pub slow_until: Option<DateTime<Utc>>,
    /// When the delivery is due; `None`: parked, until its endpoint gives it a turn.
    pub next_check_at: Option<DateTime<Utc>>,
    /// `next_check_at` is a turn at its endpoint.
    pub has_turn: bool,
    pub terms: EndpointTerms,
    /// Until when turns are given at the endpoint.
    pub next_turn_at: Option<DateTime<Utc>>,
    /// The endpoint's parked deliveries are being given their turns.
    pub draining: bool,
    pub now: DateTime<Utc>,
}

/// How fast an endpoint takes deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointTerms {
    pub rate_per_s: u32,
    /// Posts in flight.
    pub slots: u32,
    /// The smoothed time until it answers, as last written; zero if it was never worth writing.
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

/// Reads a delivery with its event and endpoint.
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

/// One POST, to be recorded.
#[derive(Debug)]
pub struct DeliveryResult<'a> {
    pub status: Option<u16>,
    /// What happened on the wire, if no answer came.
    pub error: Option<&'a str>,
    pub duration_ms: i64,
    /// Where the delivery stands now.
    pub state: DeliveryState,
    /// The next try of one that stays pending; `None`: it is parked.
    pub next_check_at: Option<DateTime<Utc>>,
}

/// Records one try, in one statement; a delivery that is no longer pending stays as it is.
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

/// Ends a delivery whose endpoint was deleted.
pub async fn discard(db: &mut PgConnection, id: DeliveryId) -> Result<(), StoreError> {
    sqlx::query!("update deliveries set state = 'discarded', next_check_at = null, has_turn = false where id = $1 and state = 'pending'", id.uuid())
        .execute(db)
        .await?;
    Ok(())
}

/// What an endpoint's answer did to it.
#[derive(Debug, PartialEq, Eq)]
pub enum EndpointHealth {
    Unchanged,
    /// It had been paused and takes deliveries again.
    Resumed,
    /// It failed for too long: its deliveries wait.
    Paused,
}

/// Notes that an endpoint accepted a delivery; a paused one is active again and drained. A healthy endpoint's row is not written.
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

/// How many failures in a row, over how long, pause an endpoint, and when a paused one is tried again.
#[derive(Clone, Copy, Debug)]
pub struct PausePolicy {
    pub failures: i32,
    pub over: chrono::TimeDelta,
    pub probe_every: chrono::TimeDelta,
}

/// Notes that an endpoint did not accept a delivery; `gone` (it answered 410) pauses it at once.
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

/// Notes how long an endpoint takes to answer, and until when it counts as slow.
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
    /// The delivery of that id, as its workflow is started again by the sweep.
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
