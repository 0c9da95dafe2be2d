//! Attempts. A row is inserted before the first byte is sent, fenced by its lease owner, and closed once.

use chrono::{DateTime, TimeDelta, Utc};
use schemas::{
    attempt::{AttemptError, AttemptState, ErrorClass},
    gateway::{GatewayApi, GatewayKind, Mode},
    id::{AttemptId, ChargeId, ConnectionId, MerchantId},
    next_action::NextAction,
    route::RouteReason,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    StoreError,
    error::{parse, to_json},
    sweep::interval,
};

pub mod request;

/// Row of `attempts`.
#[derive(Clone, Debug)]
pub struct AttemptRow {
    pub id: AttemptId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub charge: ChargeId,
    pub n: i32,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub api: GatewayApi,
    pub reason: RouteReason,
    pub state: AttemptState,
    /// The worker that holds the lease.
    pub lease_owner: Uuid,
    /// Time by which the first call to the gateway has certainly ended.
    pub deadline_at: DateTime<Utc>,
    /// Time until which other workers do not touch the attempt.
    pub lease_expires_at: DateTime<Utc>,
    pub error_class: Option<ErrorClass>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub gateway_charge_id: Option<String>,
    /// True if an answer arrived after another worker took the attempt over: the gateway may hold more than one object.
    pub late_answer: bool,
    /// True if the object under its reference is being voided; it is never adopted.
    pub voiding: bool,
    /// Number of times that a payable instrument was voided under its reference.
    pub voids: i32,
    /// Time when the gateway definitely rejected to create anything under its reference.
    pub rejected_at: Option<DateTime<Utc>>,
    /// Time when the merchant was alerted that its outcome cannot be established.
    pub alerted_at: Option<DateTime<Utc>>,
    pub next_check_at: Option<DateTime<Utc>>,
    pub checks: i32,
    pub searched_at: Option<DateTime<Utc>>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// Lease of a worker on an attempt.
#[derive(Clone, Copy, Debug)]
pub struct AttemptLease {
    /// The worker.
    pub lease_owner: Uuid,
    /// Time by which its call has certainly ended.
    pub deadline_at: DateTime<Utc>,
    /// End of the lease, unless it is renewed.
    pub expires_at: DateTime<Utc>,
}

/// An attempt to insert.
#[derive(Debug)]
pub struct NewAttempt {
    pub id: AttemptId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub charge: ChargeId,
    pub n: i32,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub api: GatewayApi,
    pub reason: RouteReason,
    /// Route that the attempt was chosen from; information for operators only.
    pub plan: serde_json::Value,
    pub policy_version: i32,
    pub lease: AttemptLease,
    pub request_sealed: Vec<u8>,
    pub started_at: DateTime<Utc>,
}

/// Outcome of an attempt, or a later change of its state.
#[derive(Clone, Debug)]
pub struct AttemptOutcome {
    pub state: AttemptState,
    pub error: Option<AttemptError>,
    pub gateway_charge_id: Option<String>,
    pub next_action: Option<NextAction>,
    /// Time of the next check.
    pub next_check_at: Option<DateTime<Utc>>,
}

impl AttemptOutcome {
    /// Returns an outcome that only sets the state.
    pub fn of(state: AttemptState) -> Self {
        Self {
            state,
            error: None,
            gateway_charge_id: None,
            next_action: None,
            next_check_at: None,
        }
    }
}

/// Returns a charge's attempts in order.
pub async fn of_charge(
    db: &mut PgConnection,
    charge: ChargeId,
) -> Result<Vec<AttemptRow>, StoreError> {
    let rows = sqlx::query!(
        "select id, merchant_id, mode, charge_id, n, connection_id, gateway, api, reason, state, lease_owner, deadline_at,
                lease_expires_at, error_class, error_code, error_message, gateway_charge_id, late_answer, voiding,
                voids, rejected_at, alerted_at, next_check_at, checks, searched_at, started_at, ended_at
           from attempts where charge_id = $1 order by n",
        charge.uuid(),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(AttemptRow {
                id: row.id.into(),
                merchant: row.merchant_id.into(),
                mode: parse("attempts.mode", &row.mode)?,
                charge: row.charge_id.into(),
                n: row.n,
                connection: row.connection_id.into(),
                gateway: parse("attempts.gateway", &row.gateway)?,
                api: parse("attempts.api", &row.api)?,
                reason: parse("attempts.reason", &row.reason)?,
                state: parse("attempts.state", &row.state)?,
                lease_owner: row.lease_owner,
                deadline_at: row.deadline_at,
                lease_expires_at: row.lease_expires_at,
                error_class: row
                    .error_class
                    .map(|c| parse("attempts.error_class", &c))
                    .transpose()?,
                error_code: row.error_code,
                error_message: row.error_message,
                gateway_charge_id: row.gateway_charge_id,
                late_answer: row.late_answer,
                voiding: row.voiding,
                voids: row.voids,
                rejected_at: row.rejected_at,
                alerted_at: row.alerted_at,
                next_check_at: row.next_check_at,
                checks: row.checks,
                searched_at: row.searched_at,
                started_at: row.started_at,
                ended_at: row.ended_at,
            })
        })
        .collect()
}

/// Returns the charge that an attempt belongs to.
pub async fn charge_of(
    db: &mut PgConnection,
    attempt: AttemptId,
) -> Result<Option<ChargeId>, StoreError> {
    let id = sqlx::query_scalar!(
        "select charge_id from attempts where id = $1",
        attempt.uuid()
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(ChargeId))
}

/// Inserts an open attempt. The caller holds the charge's lock.
pub async fn insert(db: &mut PgConnection, new: &NewAttempt) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into attempts (id, merchant_id, mode, charge_id, n, connection_id, gateway, api, reason, plan,
                               policy_version, state, lease_owner, deadline_at, lease_expires_at, request_sealed, next_check_at,
                               started_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'open', $12, $13, $14, $15, $13, $16)",
        new.id.uuid(),
        new.merchant.uuid(),
        new.mode.as_ref(),
        new.charge.uuid(),
        new.n,
        new.connection.uuid(),
        new.gateway.as_ref(),
        new.api.as_ref(),
        new.reason.as_ref(),
        new.plan,
        new.policy_version,
        new.lease.lease_owner,
        new.lease.deadline_at,
        new.lease.expires_at,
        new.request_sealed,
        new.started_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes an attempt over from its previous worker by compare-and-set. Returns false if `from` no longer holds it. The caller holds the
/// charge's lock.
pub async fn claim(
    db: &mut PgConnection,
    id: AttemptId,
    from: Uuid,
    lease: AttemptLease,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update attempts set lease_owner = $3, deadline_at = greatest(deadline_at, $4), lease_expires_at = $5,
                next_check_at = greatest(next_check_at, $5)
          where id = $1 and lease_owner = $2",
        id.uuid(),
        from,
        lease.lease_owner,
        lease.deadline_at,
        lease.expires_at,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Renews a worker's lease while its call runs. Returns false if another worker has taken the attempt over.
pub async fn renew(
    db: &mut PgConnection,
    id: AttemptId,
    lease_owner: Uuid,
    length: TimeDelta,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update attempts set lease_expires_at = app_now() + $3::interval where id = $1 and lease_owner = $2",
        id.uuid(),
        lease_owner,
        interval(length),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Releases a lease, so that the next worker does not wait for its end.
pub async fn release(
    db: &mut PgConnection,
    id: AttemptId,
    lease_owner: Uuid,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update attempts set lease_expires_at = 'epoch' where id = $1 and lease_owner = $2",
        id.uuid(),
        lease_owner,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Records the result of an open attempt's creating call before the outcome is known, so that the breaker counts it at once. Returns false
/// if the attempt is closed or belongs to another worker.
pub async fn answered(
    db: &mut PgConnection,
    id: AttemptId,
    lease_owner: Uuid,
    class: ErrorClass,
    duration_ms: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update attempts set answered_at = app_now(), error_class = $3, duration_ms = $4
          where id = $1 and lease_owner = $2 and state = 'open'",
        id.uuid(),
        lease_owner,
        class.as_ref(),
        duration_ms,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Records that an answer arrived after another worker took the attempt over.
pub async fn note_late_answer(db: &mut PgConnection, id: AttemptId) -> Result<(), StoreError> {
    sqlx::query!(
        "update attempts set late_answer = true where id = $1",
        id.uuid()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Records the decision to void the object under an attempt's reference, before any call that voids it. The caller holds the charge's lock.
pub async fn set_voiding(db: &mut PgConnection, id: AttemptId) -> Result<(), StoreError> {
    sqlx::query!(
        "update attempts set voiding = true, voids = voids + (not voiding)::integer where id = $1",
        id.uuid()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Records that the merchant was alerted about an attempt of unknown outcome.
pub async fn set_alerted(db: &mut PgConnection, id: AttemptId) -> Result<(), StoreError> {
    sqlx::query!(
        "update attempts set alerted_at = app_now() where id = $1",
        id.uuid()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Records that the gateway definitely rejected to create anything under an attempt's reference.
pub async fn set_rejected(db: &mut PgConnection, id: AttemptId) -> Result<(), StoreError> {
    sqlx::query!(
        "update attempts set rejected_at = coalesce(rejected_at, app_now()) where id = $1",
        id.uuid()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Closes an open attempt that still belongs to `lease_owner`. Returns false if it does not.
pub async fn close(
    db: &mut PgConnection,
    id: AttemptId,
    lease_owner: Uuid,
    outcome: &AttemptOutcome,
    duration_ms: i64,
) -> Result<bool, StoreError> {
    let error = outcome.error.as_ref();
    let done = sqlx::query!(
        "update attempts
            set state = $3, error_class = $4, error_code = $5, error_message = $6,
                gateway_charge_id = coalesce($7, gateway_charge_id), next_action = coalesce($8, next_action),
                next_check_at = $9, lease_expires_at = 'epoch', ended_at = app_now(), answered_at = coalesce(answered_at, app_now()), duration_ms = $10
          where id = $1 and lease_owner = $2 and state = 'open'",
        id.uuid(),
        lease_owner,
        outcome.state.as_ref(),
        error.map(|e| e.class.as_ref().to_owned()),
        error.map(|e| e.code.clone()),
        error.map(|e| e.message.clone()),
        outcome.gateway_charge_id,
        outcome.next_action.as_ref().map(to_json),
        outcome.next_check_at,
        duration_ms,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Moves an attempt that is not open, if the transition table allows it. The caller holds the charge's lock and read `from` under it.
pub async fn transition(
    db: &mut PgConnection,
    id: AttemptId,
    from: AttemptState,
    outcome: &AttemptOutcome,
) -> Result<bool, StoreError> {
    if !from.may_become(outcome.state) {
        return Ok(false);
    }
    let done = sqlx::query!(
        "update attempts
            set state = $3, gateway_charge_id = coalesce($4, gateway_charge_id),
                next_action = case
                    when $5::jsonb is null then next_action
                    -- an erased payer's link or code is not written again
                    when exists (select from charges c join payers p on p.id = c.payer_id
                                  where c.id = attempts.charge_id and p.data_key is not null) then $5
                end,
                next_check_at = $6, checks = 0,
                voiding = voiding and $3 = 'abandoned',
                ended_at = coalesce(ended_at, app_now())
          where id = $1 and state = $2",
        id.uuid(),
        from.as_ref(),
        outcome.state.as_ref(),
        outcome.gateway_charge_id,
        outcome.next_action.as_ref().map(to_json),
        outcome.next_check_at,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Adds the data of a late answer to an attempt without changing its state. The caller holds the charge's lock.
pub async fn fill_in(
    db: &mut PgConnection,
    id: AttemptId,
    gateway_charge_id: &str,
    next_action: Option<&NextAction>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update attempts
            set gateway_charge_id = coalesce(gateway_charge_id, $2),
                next_action = case
                    when next_action is not null or $3::jsonb is null then next_action
                    when exists (select from charges c join payers p on p.id = c.payer_id
                                  where c.id = attempts.charge_id and p.data_key is not null) then $3
                end
          where id = $1",
        id.uuid(),
        gateway_charge_id,
        next_action.map(to_json),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Schedules the next check of an attempt. `searched` is true if the gateway answered a search just now.
pub async fn set_next_check(
    db: &mut PgConnection,
    id: AttemptId,
    next_check_at: Option<DateTime<Utc>>,
    searched: bool,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update attempts
            set next_check_at = $2, checks = checks + 1, searched_at = case when $3 then app_now() else searched_at end
          where id = $1",
        id.uuid(),
        next_check_at,
        searched,
    )
    .execute(db)
    .await?;
    Ok(())
}
