//! Attempts: inserted before the first byte is sent, fenced by their runner, closed once.

use chrono::{DateTime, Utc};
use schemas::{
    attempt::{AttemptError, ErrorClass, State},
    gateway::{ApiFamily, GatewayKind, Mode},
    id::{AttemptId, ChargeId, ConnectionId, MerchantId},
    next_action::NextAction,
    route::Reason,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    StoreError,
    error::{parse, to_json},
};

pub mod order;

/// An attempt as the database holds it.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: AttemptId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub charge: ChargeId,
    pub n: i32,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub family: ApiFamily,
    pub reason: Reason,
    pub state: State,
    pub runner: Uuid,
    pub deadline_at: DateTime<Utc>,
    pub error_class: Option<ErrorClass>,
    pub gateway_charge_id: Option<String>,
    pub look_at: Option<DateTime<Utc>>,
    pub looks: i32,
    pub searched_at: Option<DateTime<Utc>>,
    pub started_at: DateTime<Utc>,
}

/// An attempt to insert.
#[derive(Debug)]
pub struct New {
    pub id: AttemptId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub charge: ChargeId,
    pub n: i32,
    pub connection: ConnectionId,
    pub gateway: GatewayKind,
    pub family: ApiFamily,
    pub reason: Reason,
    /// The route it was chosen from, for people.
    pub plan: serde_json::Value,
    pub policy_version: i32,
    pub runner: Uuid,
    pub order_sealed: Vec<u8>,
    pub started_at: DateTime<Utc>,
    pub deadline_at: DateTime<Utc>,
}

/// How an attempt ended, or what became of it later.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub state: State,
    pub error: Option<AttemptError>,
    pub gateway_charge_id: Option<String>,
    pub next_action: Option<NextAction>,
    /// When somebody must look at it again.
    pub look_at: Option<DateTime<Utc>>,
}

impl Outcome {
    /// Arrival in `state` with nothing else to tell.
    pub fn of(state: State) -> Self {
        Self {
            state,
            error: None,
            gateway_charge_id: None,
            next_action: None,
            look_at: None,
        }
    }
}

/// A charge's attempts, first to last.
pub async fn of_charge(db: &mut PgConnection, charge: ChargeId) -> Result<Vec<Row>, StoreError> {
    let rows = sqlx::query!(
        "select id, merchant_id, mode, charge_id, n, connection_id, gateway, family, reason, state, runner, deadline_at,
                error_class, gateway_charge_id, look_at, looks, searched_at, started_at
           from attempts where charge_id = $1 order by n",
        charge.uuid(),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Row {
                id: row.id.into(),
                merchant: row.merchant_id.into(),
                mode: parse("attempts.mode", &row.mode)?,
                charge: row.charge_id.into(),
                n: row.n,
                connection: row.connection_id.into(),
                gateway: parse("attempts.gateway", &row.gateway)?,
                family: parse("attempts.family", &row.family)?,
                reason: parse("attempts.reason", &row.reason)?,
                state: parse("attempts.state", &row.state)?,
                runner: row.runner,
                deadline_at: row.deadline_at,
                error_class: row
                    .error_class
                    .map(|c| parse("attempts.error_class", &c))
                    .transpose()?,
                gateway_charge_id: row.gateway_charge_id,
                look_at: row.look_at,
                looks: row.looks,
                searched_at: row.searched_at,
                started_at: row.started_at,
            })
        })
        .collect()
}

/// The charge that an attempt belongs to.
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
pub async fn insert(db: &mut PgConnection, new: &New) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into attempts (id, merchant_id, mode, charge_id, n, connection_id, gateway, family, reason, plan,
                               policy_version, state, runner, deadline_at, order_sealed, look_at, started_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'open', $12, $13, $14, $13, $15)",
        new.id.uuid(),
        new.merchant.uuid(),
        new.mode.as_ref(),
        new.charge.uuid(),
        new.n,
        new.connection.uuid(),
        new.gateway.as_ref(),
        new.family.as_ref(),
        new.reason.as_ref(),
        new.plan,
        new.policy_version,
        new.runner,
        new.deadline_at,
        new.order_sealed,
        new.started_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes an open attempt over from the runner that had it, by compare-and-set.
pub async fn take(
    db: &mut PgConnection,
    id: AttemptId,
    from: Uuid,
    runner: Uuid,
    deadline_at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update attempts set runner = $3, deadline_at = $4, look_at = $4 where id = $1 and runner = $2 and state = 'open'",
        id.uuid(),
        from,
        runner,
        deadline_at,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Closes an open attempt that still belongs to `runner`; `false` if it does not.
pub async fn close(
    db: &mut PgConnection,
    id: AttemptId,
    runner: Uuid,
    outcome: &Outcome,
    duration_ms: i64,
) -> Result<bool, StoreError> {
    let error = outcome.error.as_ref();
    let done = sqlx::query!(
        "update attempts
            set state = $3, error_class = $4, error_code = $5, error_message = $6,
                gateway_charge_id = coalesce($7, gateway_charge_id), next_action = coalesce($8, next_action),
                look_at = $9, ended_at = app_now(), duration_ms = $10
          where id = $1 and runner = $2 and state = 'open'",
        id.uuid(),
        runner,
        outcome.state.as_ref(),
        error.map(|e| e.class.as_ref().to_owned()),
        error.map(|e| e.code.clone()),
        error.map(|e| e.message.clone()),
        outcome.gateway_charge_id,
        outcome.next_action.as_ref().map(to_json),
        outcome.look_at,
        duration_ms,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Moves an attempt that is not open, if its table allows it. The caller holds the charge's lock, and read `from` under it.
pub async fn shift(
    db: &mut PgConnection,
    id: AttemptId,
    from: State,
    outcome: &Outcome,
) -> Result<bool, StoreError> {
    if !from.may_become(outcome.state) {
        return Ok(false);
    }
    let done = sqlx::query!(
        "update attempts
            set state = $3, gateway_charge_id = coalesce($4, gateway_charge_id),
                next_action = coalesce($5, next_action), look_at = $6,
                ended_at = coalesce(ended_at, app_now())
          where id = $1 and state = $2",
        id.uuid(),
        from.as_ref(),
        outcome.state.as_ref(),
        outcome.gateway_charge_id,
        outcome.next_action.as_ref().map(to_json),
        outcome.look_at,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Fills in what an attempt's late answer tells, without moving it.
pub async fn fill_in(
    db: &mut PgConnection,
    id: AttemptId,
    gateway_charge_id: &str,
    next_action: Option<&NextAction>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update attempts set gateway_charge_id = coalesce(gateway_charge_id, $2), next_action = coalesce(next_action, $3)
          where id = $1",
        id.uuid(),
        gateway_charge_id,
        next_action.map(to_json),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// When somebody must look at an attempt again. `searched` says that the gateway was asked and answered now.
pub async fn set_look_at(
    db: &mut PgConnection,
    id: AttemptId,
    look_at: Option<DateTime<Utc>>,
    searched: bool,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update attempts
            set look_at = $2, looks = looks + 1, searched_at = case when $3 then app_now() else searched_at end
          where id = $1",
        id.uuid(),
        look_at,
        searched,
    )
    .execute(db)
    .await?;
    Ok(())
}
