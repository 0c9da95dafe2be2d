//! Attempts. A row is inserted before the first byte is sent, leased by the worker that sends it, and closed once. All changes but a lease's
//! renewal and release are made in memory under the charge's lock and written by `charges::save`.

use chrono::{DateTime, TimeDelta, Utc};
use schemas::{
    attempt::{AttemptError, AttemptState, ErrorClass},
    gateway::{GatewayApi, GatewayKind, Mode},
    id::{AttemptId, ChargeId, ConnectionId, MerchantId},
    next_action::NextAction,
    route::RouteReason,
};
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    StoreError,
    error::{from_json, from_json_or_default, parse, to_json},
    sweep::interval,
};

pub mod request;

/// Error code of an attempt that was closed before anything was sent.
pub const NEVER_SENT: &str = "never_sent";

/// Row of `attempts`.
#[derive(Clone, Debug, PartialEq)]
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
    /// Version of the routing policy that it was planned with.
    pub policy_version: i32,
    pub state: AttemptState,
    /// The worker that holds the lease. `None`: nothing was sent, and the next worker may send it.
    pub lease_owner: Option<Uuid>,
    /// Time by which the first call to the gateway has certainly ended.
    pub deadline_at: DateTime<Utc>,
    /// Time until which other workers do not touch the attempt.
    pub lease_expires_at: DateTime<Utc>,
    pub error_class: Option<ErrorClass>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub gateway_charge_id: Option<String>,
    pub next_action: Option<NextAction>,
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
    /// Time when the creating call was answered or failed.
    pub answered_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub duration_ms: Option<i64>,
}

/// Lease of a worker on an attempt.
#[derive(Clone, Copy, Debug)]
pub struct AttemptLease {
    /// The worker. `None` to leave the attempt to the next worker.
    pub lease_owner: Option<Uuid>,
    /// Time by which its call has certainly ended.
    pub deadline_at: DateTime<Utc>,
    /// End of the lease, unless it is renewed.
    pub expires_at: DateTime<Utc>,
}

/// An attempt to insert.
#[derive(Clone, Debug)]
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

#[derive(Deserialize)]
struct AttemptColumns {
    id: Uuid,
    merchant_id: Uuid,
    mode: String,
    charge_id: Uuid,
    n: i32,
    connection_id: Uuid,
    gateway: String,
    api: String,
    reason: String,
    policy_version: i32,
    state: String,
    lease_owner: Option<Uuid>,
    deadline_at: DateTime<Utc>,
    lease_expires_at: DateTime<Utc>,
    error_class: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
    gateway_charge_id: Option<String>,
    next_action: Option<Value>,
    late_answer: bool,
    voiding: bool,
    voids: i32,
    rejected_at: Option<DateTime<Utc>>,
    alerted_at: Option<DateTime<Utc>>,
    next_check_at: Option<DateTime<Utc>>,
    checks: i32,
    searched_at: Option<DateTime<Utc>>,
    started_at: DateTime<Utc>,
    answered_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    duration_ms: Option<i64>,
}

impl AttemptColumns {
    fn read(self) -> Result<AttemptRow, StoreError> {
        Ok(AttemptRow {
            id: self.id.into(),
            merchant: self.merchant_id.into(),
            mode: parse("attempts.mode", &self.mode)?,
            charge: self.charge_id.into(),
            n: self.n,
            connection: self.connection_id.into(),
            gateway: parse("attempts.gateway", &self.gateway)?,
            api: parse("attempts.api", &self.api)?,
            reason: parse("attempts.reason", &self.reason)?,
            policy_version: self.policy_version,
            state: parse("attempts.state", &self.state)?,
            lease_owner: self.lease_owner,
            deadline_at: self.deadline_at,
            lease_expires_at: self.lease_expires_at,
            error_class: self
                .error_class
                .map(|class| parse("attempts.error_class", &class))
                .transpose()?,
            error_code: self.error_code,
            error_message: self.error_message,
            gateway_charge_id: self.gateway_charge_id,
            next_action: self
                .next_action
                .and_then(|json| from_json_or_default(("attempts.next_action", self.id), json)),
            late_answer: self.late_answer,
            voiding: self.voiding,
            voids: self.voids,
            rejected_at: self.rejected_at,
            alerted_at: self.alerted_at,
            next_check_at: self.next_check_at,
            checks: self.checks,
            searched_at: self.searched_at,
            started_at: self.started_at,
            answered_at: self.answered_at,
            ended_at: self.ended_at,
            duration_ms: self.duration_ms,
        })
    }
}

/// Reads rows that were selected as a JSON array. `None` is an empty one.
pub(crate) fn read_all(rows: Option<Value>) -> Result<Vec<AttemptRow>, StoreError> {
    let rows: Vec<AttemptColumns> =
        rows.map_or_else(|| Ok(Vec::new()), |rows| from_json("attempts", rows))?;
    rows.into_iter().map(AttemptColumns::read).collect()
}

/// Returns a charge's attempts in order.
pub async fn of_charge(
    db: &mut PgConnection,
    charge: ChargeId,
) -> Result<Vec<AttemptRow>, StoreError> {
    let rows = sqlx::query_as!(
        AttemptColumns,
        "select id, merchant_id, mode, charge_id, n, connection_id, gateway, api, reason, policy_version, state, lease_owner,
                deadline_at, lease_expires_at, error_class, error_code, error_message, gateway_charge_id, next_action, late_answer,
                voiding, voids, rejected_at, alerted_at, next_check_at, checks, searched_at, started_at, answered_at, ended_at,
                duration_ms
           from attempts where charge_id = $1 order by n",
        charge.uuid(),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(AttemptColumns::read).collect()
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
pub(crate) async fn insert(db: &mut PgConnection, new: &NewAttempt) -> Result<(), StoreError> {
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

/// Writes what changed of an attempt since it was loaded as `before`. The caller holds the charge's lock; a lease is also renewed without
/// it, and is therefore written only if it changed.
pub(crate) async fn update(
    db: &mut PgConnection,
    before: &AttemptRow,
    now: &AttemptRow,
) -> Result<(), StoreError> {
    let lease = (now.lease_expires_at != before.lease_expires_at).then_some(now.lease_expires_at);
    let action = now.next_action.as_ref();
    let action = action.filter(|action| before.next_action.as_ref() != Some(action));
    sqlx::query!(
        "update attempts
            set state = $2, lease_owner = case when $22 then $3 else lease_owner end, lease_expires_at = coalesce($4, lease_expires_at), deadline_at = $5, error_class = $6,
                error_code = $7, error_message = $8, gateway_charge_id = $9, next_action = coalesce($10, next_action),
                late_answer = $11, voiding = $12, voids = $13, rejected_at = $14, alerted_at = $15, next_check_at = $16, checks = $17,
                searched_at = $18, answered_at = $19, ended_at = $20, duration_ms = $21
          where id = $1",
        now.id.uuid(),
        now.state.as_ref(),
        now.lease_owner,
        lease,
        now.deadline_at,
        now.error_class.map(|class| class.as_ref().to_owned()),
        now.error_code,
        now.error_message,
        now.gateway_charge_id,
        action.map(to_json),
        now.late_answer,
        now.voiding,
        now.voids,
        now.rejected_at,
        now.alerted_at,
        now.next_check_at,
        now.checks,
        now.searched_at,
        now.answered_at,
        now.ended_at,
        now.duration_ms,
        now.lease_owner != before.lease_owner,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Renews a worker's lease while its call runs. Returns false if another worker has taken the attempt over.
pub async fn renew(
    db: &mut PgConnection,
    id: AttemptId,
    lease_owner: Uuid,
    length: TimeDelta,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update attempts set lease_expires_at = app_now() + $3::interval where id = $1 and lease_owner = $2 and state = 'open'",
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

/// Releases the lease of an open attempt of which nothing was sent: the next worker may send it, and its errors are definite. Returns false
/// if another worker has taken the attempt over.
pub async fn release_unsent(
    db: &mut PgConnection,
    id: AttemptId,
    lease_owner: Uuid,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update attempts set lease_owner = null, lease_expires_at = 'epoch'
          where id = $1 and lease_owner = $2 and state = 'open'",
        id.uuid(),
        lease_owner,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

impl AttemptRow {
    /// Returns true if the attempt may have been sent to its gateway.
    pub fn is_try(&self) -> bool {
        self.error_code.as_deref() != Some(NEVER_SENT)
    }

    /// Leases the attempt to another worker.
    pub fn claim(&mut self, lease: AttemptLease) {
        self.lease_owner = lease.lease_owner;
        self.deadline_at = self.deadline_at.max(lease.deadline_at);
        self.lease_expires_at = lease.expires_at;
        self.next_check_at = self.next_check_at.max(Some(lease.expires_at));
    }

    /// Ends the lease, so that the next worker does not wait for it.
    pub fn end_lease(&mut self) {
        self.lease_expires_at = DateTime::UNIX_EPOCH;
    }

    /// Schedules the next check.
    pub fn check_at(&mut self, at: Option<DateTime<Utc>>) {
        self.next_check_at = at;
        self.checks += 1;
    }

    /// Records the decision to void the object under its reference, before any call that voids it.
    pub fn set_voiding(&mut self) {
        self.voids += i32::from(!self.voiding);
        self.voiding = true;
    }
}

impl NewAttempt {
    /// Returns the row that it becomes.
    pub(crate) fn row(&self) -> AttemptRow {
        AttemptRow {
            id: self.id,
            merchant: self.merchant,
            mode: self.mode,
            charge: self.charge,
            n: self.n,
            connection: self.connection,
            gateway: self.gateway,
            api: self.api,
            reason: self.reason,
            policy_version: self.policy_version,
            state: AttemptState::Open,
            lease_owner: self.lease.lease_owner,
            deadline_at: self.lease.deadline_at,
            lease_expires_at: self.lease.expires_at,
            error_class: None,
            error_code: None,
            error_message: None,
            gateway_charge_id: None,
            next_action: None,
            late_answer: false,
            voiding: false,
            voids: 0,
            rejected_at: None,
            alerted_at: None,
            next_check_at: Some(self.lease.deadline_at),
            checks: 0,
            searched_at: None,
            started_at: self.started_at,
            answered_at: None,
            ended_at: None,
            duration_ms: None,
        }
    }
}
