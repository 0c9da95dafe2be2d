//! Deliveries: one event for one endpoint, tried until it is accepted.

use chrono::{DateTime, Utc};
use schemas::{
    delivery::State,
    event::{Event, SubjectKind},
    gateway::Mode,
    id::{ChargeId, DeliveryId, EndpointId, EventId, MerchantId},
    webhook_endpoint,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, error::parse, sweep::interval};

pub mod resend;

/// A committed delivery whose workflow is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub delivery: DeliveryId,
    pub merchant: MerchantId,
    pub endpoint: EndpointId,
    /// The charge that its event is about, if it is about one.
    pub charge: Option<ChargeId>,
    /// Its endpoint has been slow lately.
    pub slow: bool,
}

/// All that one try needs.
#[derive(Debug)]
pub struct Work {
    pub delivery: DeliveryId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub state: State,
    pub attempts: i32,
    pub created_at: DateTime<Utc>,
    pub event: Event,
    pub endpoint: EndpointId,
    pub url: String,
    pub secret_sealed: Vec<u8>,
    pub endpoint_status: webhook_endpoint::Status,
    /// The endpoint's failures in a row.
    pub failures: i32,
    pub slow_until: Option<DateTime<Utc>>,
    pub probe_at: Option<DateTime<Utc>>,
    pub now: DateTime<Utc>,
}

/// Reads a delivery with its event and endpoint.
pub async fn load(db: &mut PgConnection, id: DeliveryId) -> Result<Option<Work>, StoreError> {
    let row = sqlx::query!(
        r#"select d.merchant_id, d.mode, d.state, d.attempts, d.created_at, d.endpoint_id,
                  v.id as event_id, v.type as event_type, v.subject_type, v.subject_id, v.sequence, v.data,
                  v.created_at as event_created_at,
                  w.url, w.api_version, w.secret_sealed, w.status as endpoint_status, w.failures, w.slow_until, w.probe_at,
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
    let subject: SubjectKind = parse("events.subject_type", &row.subject_type)?;
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
    Ok(Some(Work {
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
        probe_at: row.probe_at,
        now: row.now,
    }))
}

/// One POST, to be recorded.
#[derive(Debug)]
pub struct Tried<'a> {
    pub status: Option<u16>,
    /// What happened on the wire, if no answer came.
    pub error: Option<&'a str>,
    pub duration_ms: i64,
    /// Where the delivery stands now.
    pub state: State,
    pub look_at: Option<DateTime<Utc>>,
}

/// Records one try of a delivery that is still pending.
pub async fn record(
    db: &mut PgConnection,
    work: &Work,
    tried: &Tried<'_>,
) -> Result<bool, StoreError> {
    let result = tried.status.map_or_else(
        || tried.error.unwrap_or("no answer").to_owned(),
        |s| s.to_string(),
    );
    let n = sqlx::query_scalar!(
        "update deliveries
            set attempts = attempts + 1, state = $2, look_at = $3, last_result = $4,
                delivered_at = case when $2 = 'delivered' then app_now() end
          where id = $1 and state = 'pending'
         returning attempts",
        work.delivery.uuid(),
        tried.state.as_ref(),
        tried.look_at,
        result,
    )
    .fetch_optional(&mut *db)
    .await?;
    sqlx::query!(
        "insert into delivery_attempts (id, merchant_id, mode, delivery_id, n, status, error, duration_ms)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        crate::new_id(),
        work.merchant.uuid(),
        work.mode.as_ref(),
        work.delivery.uuid(),
        n.unwrap_or(work.attempts + 1),
        tried.status.map(i32::from),
        tried.error,
        tried.duration_ms,
    )
    .execute(db)
    .await?;
    Ok(n.is_some())
}

/// When somebody must look at a delivery again; nothing was sent.
pub async fn postpone(
    db: &mut PgConnection,
    id: DeliveryId,
    look_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update deliveries set look_at = $2 where id = $1 and state = 'pending'",
        id.uuid(),
        look_at
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends a delivery whose endpoint was deleted.
pub async fn discard(db: &mut PgConnection, id: DeliveryId) -> Result<(), StoreError> {
    sqlx::query!("update deliveries set state = 'discarded', look_at = null where id = $1 and state = 'pending'", id.uuid())
        .execute(db)
        .await?;
    Ok(())
}

/// What an endpoint's answer did to it.
#[derive(Debug, PartialEq, Eq)]
pub enum Health {
    Unchanged,
    /// It had been paused and takes deliveries again.
    Resumed,
    /// It failed for too long: its deliveries wait.
    Paused,
}

/// Notes that an endpoint accepted a delivery. A healthy endpoint's row is not written.
pub async fn endpoint_accepted(db: &mut PgConnection, work: &Work) -> Result<Health, StoreError> {
    if work.failures == 0 && work.endpoint_status == webhook_endpoint::Status::Active {
        return Ok(Health::Unchanged);
    }
    let resumed = sqlx::query_scalar!(
        r#"with before as (select status from webhook_endpoints where id = $1 for update)
           update webhook_endpoints w
              set failures = 0, failing_since = null, paused_at = null, probe_at = null,
                  status = case when w.status = 'paused' then 'active' else w.status end
             from before
            where w.id = $1
           returning before.status = 'paused' as "resumed!""#,
        work.endpoint.uuid(),
    )
    .fetch_one(db)
    .await?;
    Ok(if resumed {
        Health::Resumed
    } else {
        Health::Unchanged
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
    work: &Work,
    gone: bool,
    policy: PausePolicy,
) -> Result<Health, StoreError> {
    let now_paused = sqlx::query_scalar!(
        r#"with before as (select status, failures, failing_since from webhook_endpoints where id = $1 for update),
           verdict as (
               select status = 'active' and ($2 or (failures + 1 >= $3
                      and coalesce(failing_since, app_now()) <= app_now() - $4::interval)) as pause
                 from before)
           update webhook_endpoints w
              set failures = w.failures + 1,
                  failing_since = coalesce(w.failing_since, app_now()),
                  status = case when verdict.pause then 'paused' else w.status end,
                  paused_at = case when verdict.pause then app_now() else w.paused_at end,
                  probe_at = case when verdict.pause or w.status = 'paused' then app_now() + $5::interval end
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
        Health::Paused
    } else {
        Health::Unchanged
    })
}

/// Remembers that an endpoint is slow, until `until`.
pub async fn endpoint_is_slow(
    db: &mut PgConnection,
    endpoint: EndpointId,
    until: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update webhook_endpoints set slow_until = $2 where id = $1",
        endpoint.uuid(),
        until
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Lets one delivery try a paused endpoint; the next chance is `again_at`.
pub async fn take_probe(
    db: &mut PgConnection,
    endpoint: EndpointId,
    again_at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update webhook_endpoints set probe_at = $2
          where id = $1 and status = 'paused' and (probe_at is null or probe_at <= app_now())",
        endpoint.uuid(),
        again_at,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Spreads an endpoint's waiting deliveries from now on, `per_second` at most; the sweep pokes each in its turn.
pub async fn drain_backlog(
    db: &mut PgConnection,
    endpoint: EndpointId,
    per_second: i32,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update deliveries d
            set look_at = app_now() + interval '1 second' * (turn.n / greatest($2, 1))
           from (select id, row_number() over (order by id) - 1 as n from deliveries
                  where endpoint_id = $1 and state = 'pending') turn
          where d.id = turn.id",
        endpoint.uuid(),
        per_second,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

impl Due {
    /// The delivery of that id, as its workflow is started again by the sweep.
    pub fn again(delivery: Uuid, merchant: Uuid, endpoint: Uuid, charge: Option<Uuid>) -> Self {
        Self {
            delivery: delivery.into(),
            merchant: merchant.into(),
            endpoint: endpoint.into(),
            charge: charge.map(Into::into),
            slow: true,
        }
    }
}
