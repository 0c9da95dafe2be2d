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

/// Returns a charge's unhandled facts in order of arrival.
pub async fn unhandled(
    db: &mut PgConnection,
    charge: ChargeId,
) -> Result<Vec<Observation>, StoreError> {
    let rows = sqlx::query!(
        "select connection_id, dedupe_key, attempt_id, event, observed, received_count, checks
           from observations
          where charge_id = $1 and handled_at is null
          order by received_at, dedupe_key limit $2",
        charge.uuid(),
        LIMIT,
    )
    .fetch_all(db)
    .await?;
    let observations = rows.into_iter().map(|row| Observation {
        connection: row.connection_id.into(),
        dedupe_key: row.dedupe_key,
        attempt: row.attempt_id.into(),
        event: row.event,
        observed: row.observed,
        received_count: row.received_count,
        checks: row.checks,
    });
    Ok(observations.collect())
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
