//! Which connection is looked after next.

use chrono::{DateTime, TimeDelta, Utc};
use schemas::id::ConnectionId;
use sqlx::PgConnection;

use crate::{StoreError, sweep::interval};

/// A connection whose turn it is to be looked after.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub id: ConnectionId,
    /// Since when there is something to read.
    pub since: DateTime<Utc>,
    pub replace_address: bool,
}

/// The connections whose lists have not been read for `every`, longest first.
/// Archived ones are read too: money may still come back.
pub async fn to_catch_up(
    db: &mut PgConnection,
    every: TimeDelta,
    limit: i64,
) -> Result<Vec<Turn>, StoreError> {
    let rows = sqlx::query!(
        r#"select id, coalesce(caught_up_at, created_at) as "since!", replace_address from gateway_connections
          where coalesce(caught_up_at, created_at) < app_now() - $1::interval
          order by coalesce(caught_up_at, created_at) limit $2"#,
        interval(every),
        limit,
    )
    .fetch_all(db)
    .await?;
    let turns = rows.into_iter().map(|row| Turn {
        id: row.id.into(),
        since: row.since,
        replace_address: row.replace_address,
    });
    Ok(turns.collect())
}

/// Says until when a connection's lists have been read.
pub async fn caught_up(
    db: &mut PgConnection,
    id: ConnectionId,
    until: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update gateway_connections set caught_up_at = greatest(caught_up_at, $2) where id = $1",
        id.uuid(),
        until,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Claims the connections that nobody has looked after for `every`, longest first.
pub async fn take_watch(
    db: &mut PgConnection,
    every: TimeDelta,
    limit: i64,
) -> Result<Vec<Turn>, StoreError> {
    let rows = sqlx::query!(
        "update gateway_connections c set watched_at = app_now()
           from (select id from gateway_connections
                  where status <> 'archived' and coalesce(watched_at, created_at) < app_now() - $1::interval
                  order by coalesce(watched_at, created_at) limit $2 for update skip locked) due
          where c.id = due.id
         returning c.id, c.created_at, c.replace_address",
        interval(every),
        limit,
    )
    .fetch_all(db)
    .await?;
    let turns = rows.into_iter().map(|row| Turn {
        id: row.id.into(),
        since: row.created_at,
        replace_address: row.replace_address,
    });
    Ok(turns.collect())
}
