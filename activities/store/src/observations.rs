//! Facts about charges from notifications and lists. The charge's next check handles them.

use schemas::id::{AttemptId, ChargeId, ConnectionId};
use serde_json::Value;
use sqlx::PgConnection;

use crate::StoreError;

/// Fact that was not handled since it was last received.
#[derive(Clone, Debug)]
pub struct Observation {
    pub connection: ConnectionId,
    pub dedupe_key: String,
    pub attempt: AttemptId,
    pub event: String,
    /// Charge as the gateway states it. `None` is a hint: the gateway must be read.
    pub observed: Option<Value>,
    /// Number of times that it was received.
    pub received_count: i32,
    /// Number of times that the gateway was read and did not confirm it.
    pub checks: i32,
}

/// Maximum number of facts that one check handles; the next check handles the rest.
const LIMIT: i64 = 100;

/// What a charge must be synced with.
#[derive(Debug, Default)]
pub struct Unhandled {
    /// Unhandled facts in order of arrival.
    pub observations: Vec<Observation>,
    /// True if the charge can no longer be paid and is due for a check for late money.
    pub is_late: bool,
}

/// Returns a charge's unhandled facts.
pub async fn unhandled(db: &mut PgConnection, charge: ChargeId) -> Result<Unhandled, StoreError> {
    let rows = sqlx::query!(
        r#"select coalesce(c.status in ('expired', 'canceled') and c.next_check_at <= app_now(), false) as "is_late!",
                  o.connection_id as "connection_id?", o.dedupe_key as "dedupe_key?", o.attempt_id as "attempt_id?",
                  o.event as "event?", o.observed, o.received_count as "received_count?", o.checks as "checks?"
             from charges c
             left join lateral (
                      select connection_id, dedupe_key, attempt_id, event, observed, received_count, checks, received_at
                        from observations where charge_id = c.id and handled_at is null
                       order by received_at, dedupe_key limit $2) o on true
            where c.id = $1
            order by o.received_at, o.dedupe_key"#,
        charge.uuid(),
        LIMIT,
    )
    .fetch_all(db)
    .await?;
    let mut unhandled = Unhandled::default();
    for row in rows {
        unhandled.is_late = row.is_late;
        let (Some(connection), Some(dedupe_key), Some(attempt), Some(event)) =
            (row.connection_id, row.dedupe_key, row.attempt_id, row.event)
        else {
            continue;
        };
        unhandled.observations.push(Observation {
            connection: connection.into(),
            dedupe_key,
            attempt: attempt.into(),
            event,
            observed: row.observed,
            received_count: row.received_count.unwrap_or_default(),
            checks: row.checks.unwrap_or_default(),
        });
    }
    Ok(unhandled)
}

/// Closes a fact, unless it was repeated in the meantime. A repeated fact is not applied again; it becomes a hint. Returns true if it was
/// closed.
pub async fn handled(db: &mut PgConnection, observation: &Observation) -> Result<bool, StoreError> {
    let closed = sqlx::query_scalar!(
        r#"update observations set handled_at = case when received_count = $3 then app_now() end,
                  observed = case when received_count = $3 then observed end
            where connection_id = $1 and dedupe_key = $2
           returning handled_at is not null as "is_closed!""#,
        observation.connection.uuid(),
        observation.dedupe_key,
        observation.received_count,
    )
    .fetch_optional(db)
    .await?;
    Ok(closed.unwrap_or(false))
}

/// Records that the gateway was read and did not confirm the fact.
pub async fn unconfirmed(
    db: &mut PgConnection,
    observation: &Observation,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update observations set checks = checks + 1 where connection_id = $1 and dedupe_key = $2",
        observation.connection.uuid(),
        observation.dedupe_key,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Turns a fact that cannot be applied into a hint, so that the whole charge is read from the gateway.
pub async fn must_read(db: &mut PgConnection, observation: &Observation) -> Result<(), StoreError> {
    sqlx::query!(
        "update observations set observed = null where connection_id = $1 and dedupe_key = $2 and received_count = $3",
        observation.connection.uuid(),
        observation.dedupe_key,
        observation.received_count,
    )
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
