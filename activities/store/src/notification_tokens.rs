//! Notifications that consist only of a token, until they are resolved through the gateway's API.

use std::time::Duration;

use chrono::TimeDelta;
use schemas::id::ConnectionId;
use sqlx::PgConnection;

use crate::{StoreError, connections::Connection, sweep::interval};

/// Claimed token.
#[derive(Clone, Debug)]
pub struct PendingToken {
    pub connection: ConnectionId,
    pub token: String,
    pub checks: i32,
    /// Number of times that it was received before it was claimed.
    pub received_count: i32,
}

/// Minimum time between two fetches of a token, independent of how often it is received: a sender that knows the address must not make us
/// flood the gateway.
pub const REST: Duration = Duration::from_secs(1);

/// Records that a token was received.
pub async fn receive(
    db: &mut PgConnection,
    from: &Connection,
    token: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into notification_tokens (connection_id, token, merchant_id, mode, next_check_at)
         values ($1, $2, $3, $4, app_now())
         on conflict (connection_id, token) do update
            set received_count = notification_tokens.received_count + 1, checks = 0,
                next_check_at = greatest(app_now(), notification_tokens.fetched_at + $5 * interval '1 second')",
        from.id.uuid(),
        token,
        from.merchant.uuid(),
        from.mode.as_ref(),
        REST.as_secs_f64(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Claims due tokens for `lease`, of one connection or of all. Connections take turns, so that one with many tokens delays no other.
pub async fn claim(
    db: &mut PgConnection,
    connection: Option<ConnectionId>,
    (limit, lease): (i64, TimeDelta),
) -> Result<Vec<PendingToken>, StoreError> {
    let rows = sqlx::query!(
        "update notification_tokens t set next_check_at = app_now() + $3::interval
           from (select connection_id, token from (
                     select connection_id, token, next_check_at, row_number() over (partition by connection_id order by next_check_at) as n
                       from notification_tokens
                      where next_check_at <= app_now() and ($1::uuid is null or connection_id = $1)) due
                  order by n, next_check_at limit $2) mine
          where t.connection_id = mine.connection_id and t.token = mine.token and t.next_check_at <= app_now()
         returning t.connection_id, t.token, t.checks, t.received_count",
        connection.map(ConnectionId::uuid),
        limit,
        interval(lease),
    )
    .fetch_all(db)
    .await?;
    let tokens = rows.into_iter().map(|row| PendingToken {
        connection: row.connection_id.into(),
        token: row.token,
        checks: row.checks,
        received_count: row.received_count,
    });
    Ok(tokens.collect())
}

/// Records that a token was resolved. A token that was received again in the meantime stays due, because the fetched data may be older.
pub async fn fetched(db: &mut PgConnection, token: &PendingToken) -> Result<(), StoreError> {
    sqlx::query!(
        "update notification_tokens set fetched_at = app_now(),
                next_check_at = case when received_count > $3 then app_now() + $4 * interval '1 second' end
          where connection_id = $1 and token = $2",
        token.connection.uuid(),
        token.token,
        token.received_count,
        REST.as_secs_f64(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Records that a token was not resolved. The next try is after `pause`; with `None` there is none. A token that was received again in the
/// meantime stays due.
pub async fn again(
    db: &mut PgConnection,
    token: &PendingToken,
    pause: Option<TimeDelta>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update notification_tokens
            set checks = case when received_count > $4 then checks else checks + 1 end,
                next_check_at = case when received_count > $4 then app_now() + $5 * interval '1 second' else app_now() + $3::interval end
          where connection_id = $1 and token = $2",
        token.connection.uuid(),
        token.token,
        pause.map(interval) as _,
        token.received_count,
        REST.as_secs_f64(),
    )
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
