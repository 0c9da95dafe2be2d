//! Circuit breakers. They are read with the route and locked only for changes.

use chrono::{DateTime, TimeDelta, Utc};
use schemas::{
    breaker::{
        Breaker, BreakerHold, BreakerSettings, BreakerState, BreakerTransition, FailureWindow,
        Probe,
    },
    connection,
    gateway::{GatewayApi, GatewayKind, Mode},
    id::{AttemptId, ConnectionId, MerchantId},
    message::{BreakerMoved, CloudEvent, Topic},
    payment_method::PaymentMethodKind,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, error::parse, outbox, sweep::interval};

/// Error code of attempts that were not sent because no slot was free.
pub const BULKHEAD: &str = "bulkhead";

/// Author of automatic transitions.
const BREAKER: &str = "breaker";

/// Connection of the active policy, with its breaker for the method's gateway API.
#[derive(Clone, Debug)]
pub struct BreakerCandidate {
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub status: connection::ConnectionStatus,
    pub api: GatewayApi,
    pub breaker: Breaker,
    pub credential_version: i32,
}

/// Returns the active policy's version and its connections in order, in one round trip. `api_of` returns the gateway API that serves a
/// method.
pub async fn candidates(
    db: &mut PgConnection,
    merchant: MerchantId,
    mode: Mode,
    method: PaymentMethodKind,
    api_of: fn(GatewayKind, PaymentMethodKind) -> Option<GatewayApi>,
) -> Result<(i32, Vec<BreakerCandidate>), StoreError> {
    let rows = sqlx::query!(
        r#"select p.version, c.id, c.gateway, c.status, b.api, b.state, b.openings, b.opened_at, b.open_until,
                  b.closed_at, b.half_open_successes, b.probe_attempt, b.probe_until, b.hold, b.hold_until, b.hold_reason,
                  (select max(version) from gateway_credentials where connection_id = c.id) as "credential_version!"
             from routing_policies p
            cross join unnest(p.connections) with ordinality as u(connection_id, position)
             join gateway_connections c on c.id = u.connection_id and c.merchant_id = p.merchant_id and c.mode = p.mode
             join circuit_breakers b on b.connection_id = c.id
            where p.merchant_id = $1 and p.mode = $2 and p.method = $3 and p.active
            order by u.position, b.api"#,
        merchant.uuid(),
        mode.as_ref(),
        method.as_ref(),
    )
    .fetch_all(db)
    .await?;
    let version = rows.first().map_or(0, |row| row.version);
    let mut candidates = Vec::with_capacity(rows.len());
    for row in rows {
        let gateway: GatewayKind = parse("gateway_connections.gateway", &row.gateway)?;
        let api: GatewayApi = parse("circuit_breakers.api", &row.api)?;
        if api_of(gateway, method) != Some(api) {
            continue;
        }
        let columns = Columns {
            state: row.state,
            openings: row.openings,
            opened_at: row.opened_at,
            open_until: row.open_until,
            closed_at: row.closed_at,
            half_open_successes: row.half_open_successes,
            probe: row.probe_attempt.zip(row.probe_until),
            hold: row
                .hold
                .zip(row.hold_until)
                .map(|(kind, until)| (kind, until, row.hold_reason)),
        };
        candidates.push(BreakerCandidate {
            connection: row.id.into(),
            gateway,
            status: parse("gateway_connections.status", &row.status)?,
            api,
            breaker: columns.read()?,
            credential_version: row.credential_version,
        });
    }
    Ok((version, candidates))
}

struct Columns {
    state: String,
    openings: i32,
    opened_at: Option<DateTime<Utc>>,
    open_until: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    half_open_successes: i32,
    probe: Option<(Uuid, DateTime<Utc>)>,
    hold: Option<(String, DateTime<Utc>, Option<String>)>,
}

impl Columns {
    fn read(self) -> Result<Breaker, StoreError> {
        let hold = match self.hold {
            Some((kind, until, reason)) => Some(BreakerHold {
                kind: parse("circuit_breakers.hold", &kind)?,
                until,
                reason: reason.unwrap_or_default(),
            }),
            None => None,
        };
        Ok(Breaker {
            state: parse("circuit_breakers.state", &self.state)?,
            openings: self.openings,
            opened_at: self.opened_at,
            open_until: self.open_until,
            closed_at: self.closed_at,
            half_open_successes: self.half_open_successes,
            probe: self.probe.map(|(attempt, until)| Probe {
                attempt: AttemptId(attempt),
                until,
            }),
            hold,
        })
    }
}

/// Breaker under its row's lock.
#[derive(Debug)]
pub struct LockedBreaker {
    pub connection: ConnectionId,
    pub api: GatewayApi,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub gateway: GatewayKind,
    pub breaker: Breaker,
    pub now: DateTime<Utc>,
    sequence: i64,
}

/// Locks a breaker until the transaction ends.
pub async fn lock(
    db: &mut PgConnection,
    connection: ConnectionId,
    api: GatewayApi,
) -> Result<LockedBreaker, StoreError> {
    let row = sqlx::query!(
        r#"with locked as materialized (
               select b.merchant_id, b.mode, c.gateway, b.state, b.openings, b.opened_at, b.open_until, b.closed_at,
                      b.half_open_successes, b.probe_attempt, b.probe_until, b.hold, b.hold_until, b.hold_reason, b.sequence
                 from circuit_breakers b
                 join gateway_connections c on c.id = b.connection_id and c.merchant_id = b.merchant_id and c.mode = b.mode
                where b.connection_id = $1 and b.api = $2
                  for update of b)
           select locked.*, app_now() as "now!" from locked"#,
        connection.uuid(),
        api.as_ref(),
    )
    .fetch_one(db)
    .await?;
    let columns = Columns {
        state: row.state,
        openings: row.openings,
        opened_at: row.opened_at,
        open_until: row.open_until,
        closed_at: row.closed_at,
        half_open_successes: row.half_open_successes,
        probe: row.probe_attempt.zip(row.probe_until),
        hold: row
            .hold
            .zip(row.hold_until)
            .map(|(kind, until)| (kind, until, row.hold_reason)),
    };
    Ok(LockedBreaker {
        connection,
        api,
        merchant: row.merchant_id.into(),
        mode: parse("circuit_breakers.mode", &row.mode)?,
        gateway: parse("gateway_connections.gateway", &row.gateway)?,
        breaker: columns.read()?,
        now: row.now,
        sequence: row.sequence,
    })
}

/// Claims the next slot for an attempt of last resort at a connection while every breaker is open. Slots are `spacing` apart. Returns false
/// if the next slot is not due yet.
pub async fn claim_last_resort(
    db: &mut PgConnection,
    connection: ConnectionId,
    api: GatewayApi,
    spacing: TimeDelta,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update circuit_breakers set last_resort_at = app_now()
          where connection_id = $1 and api = $2
            and (last_resort_at is null or last_resort_at <= app_now() - $3::interval)",
        connection.uuid(),
        api.as_ref(),
        interval(spacing),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes a locked breaker. A transition is also written as a row and a message.
pub async fn save(
    db: &mut PgConnection,
    locked: &mut LockedBreaker,
    transition: Option<BreakerTransition>,
) -> Result<(), StoreError> {
    let breaker = &locked.breaker;
    locked.sequence += i64::from(transition.is_some());
    sqlx::query!(
        "update circuit_breakers
            set state = $3, openings = $4, opened_at = $5, open_until = $6, closed_at = $7, half_open_successes = $8,
                probe_attempt = $9, probe_until = $10, sequence = $11
          where connection_id = $1 and api = $2",
        locked.connection.uuid(),
        locked.api.as_ref(),
        breaker.state.as_ref(),
        breaker.openings,
        breaker.opened_at,
        breaker.open_until,
        breaker.closed_at,
        breaker.half_open_successes,
        breaker.probe.map(|p| p.attempt.uuid()),
        breaker.probe.map(|p| p.until),
        locked.sequence,
    )
    .execute(&mut *db)
    .await?;
    match transition {
        Some(transition) => record(db, locked, transition).await,
        None => Ok(()),
    }
}

async fn record(
    db: &mut PgConnection,
    locked: &LockedBreaker,
    transition: BreakerTransition,
) -> Result<(), StoreError> {
    let BreakerTransition { from, to, why } = transition;
    write_transition(db, locked, (from, to, why.as_ref(), BREAKER)).await
}

async fn write_transition(
    db: &mut PgConnection,
    locked: &LockedBreaker,
    (from, to, why, author): (BreakerState, BreakerState, &str, &str),
) -> Result<(), StoreError> {
    let id = sqlx::query_scalar!(
        "insert into breaker_transitions (connection_id, api, from_state, to_state, why, author)
         values ($1, $2, $3, $4, $5, $6) returning id",
        locked.connection.uuid(),
        locked.api.as_ref(),
        from.as_ref(),
        to.as_ref(),
        why,
        author,
    )
    .fetch_one(&mut *db)
    .await?;
    let data = BreakerMoved {
        merchant: locked.merchant,
        connection: locked.connection,
        gateway: locked.gateway,
        api: locked.api,
        from,
        to,
        why: why.to_owned(),
        open_until: locked.breaker.open_until,
    };
    let message = CloudEvent::new(
        format!("breaker-{id}"),
        "gateway.breaker.moved",
        locked.connection.to_string(),
        (locked.now, locked.mode, locked.sequence),
        data,
    );
    outbox::insert(db, Topic::GatewayHealth, &message).await
}

/// Returns the gateway APIs of a connection. Each has a breaker.
pub async fn apis(
    db: &mut PgConnection,
    connection: ConnectionId,
) -> Result<Vec<GatewayApi>, StoreError> {
    let apis = sqlx::query_scalar!(
        "select api from circuit_breakers where connection_id = $1 order by api",
        connection.uuid(),
    )
    .fetch_all(db)
    .await?;
    apis.iter()
        .map(|api| parse("circuit_breakers.api", api))
        .collect()
}

/// Holds a locked breaker on behalf of an operator, or releases it if `hold` is `None`. Writes a row and a message like any transition.
pub async fn hold(
    db: &mut PgConnection,
    locked: &mut LockedBreaker,
    hold: Option<BreakerHold>,
    author: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update circuit_breakers set hold = $3, hold_until = $4, hold_reason = $5, sequence = sequence + 1
          where connection_id = $1 and api = $2",
        locked.connection.uuid(),
        locked.api.as_ref(),
        hold.as_ref().map(|hold| hold.kind.as_ref()),
        hold.as_ref().map(|hold| hold.until),
        hold.as_ref().map(|hold| hold.reason.as_str()),
    )
    .execute(&mut *db)
    .await?;
    locked.sequence += 1;
    let why = hold.as_ref().map_or("released", |hold| hold.kind.as_ref());
    let state = locked.breaker.state;
    let moved = (state, state, why, author);
    locked.breaker.hold.clone_from(&hold);
    write_transition(db, locked, moved).await
}

/// Returns the counts of the calls that were answered since `since`. A call longer than `slow_call_ms` counts as failed.
pub async fn window(
    db: &mut PgConnection,
    connection: ConnectionId,
    api: GatewayApi,
    since: DateTime<Utc>,
    settings: &BreakerSettings,
) -> Result<FailureWindow, StoreError> {
    let row = sqlx::query!(
        r#"with call as (
               select answered_at,
                      coalesce(error_class in ('not_created', 'unknown', 'denied', 'throttled')
                               or (error_class in ('rejected') and $5), false)
                      or duration_ms > $4 as failed
                 from attempts
                where connection_id = $1 and api = $2 and started_at > $3::timestamptz - interval '1 minute' and answered_at >= $3
                  and duration_ms is not null and error_code is distinct from $6)
           select count(*)::int as "attempts!",
                  (count(*) filter (where failed))::int as "failures!",
                  (count(*) filter (where failed and answered_at > coalesce(
                       (select max(answered_at) from call where not failed), '-infinity')))::int as "consecutive!"
             from call"#,
        connection.uuid(),
        api.as_ref(),
        since,
        settings.slow_call_ms,
        settings.count_client_errors,
        BULKHEAD,
    )
    .fetch_one(db)
    .await?;
    Ok(FailureWindow {
        attempts: row.attempts,
        failures: row.failures,
        consecutive_failures: row.consecutive,
    })
}
