//! Polling progress of each list of each connection.

use chrono::{DateTime, TimeDelta, Utc};
use schemas::{
    gateway::{GatewayApi, GatewayKind},
    id::ConnectionId,
};
use sqlx::PgConnection;

use crate::{StoreError, sweep::interval};

/// List that the connections of a gateway have.
#[derive(Clone, Copy, Debug)]
pub struct FeedKind {
    pub gateway: GatewayKind,
    pub feed: &'static str,
    pub api: GatewayApi,
}

/// Claimed list.
#[derive(Clone, Debug)]
pub struct ClaimedFeed {
    pub connection: ConnectionId,
    pub feed: String,
    /// Watermark: the list is read until this time.
    pub polled_until: DateTime<Utc>,
    /// Position where an interrupted run continues.
    pub cursor: Option<String>,
    /// Consecutive failures.
    pub failures: i32,
}

/// Days after its last payment during which an archived connection is polled, once a day.
const ARCHIVED_DAYS: i32 = 180;

/// Inserts missing lists, such as those of new connections.
pub async fn ensure(db: &mut PgConnection, kinds: &[FeedKind]) -> Result<(), StoreError> {
    let column = |of: fn(&FeedKind) -> &str| -> Vec<String> {
        kinds.iter().map(|kind| of(kind).to_owned()).collect()
    };
    sqlx::query!(
        "insert into connection_feeds (connection_id, feed, merchant_id, mode, api, polled_until, next_check_at)
         select c.id, k.feed, c.merchant_id, c.mode, k.api, c.created_at, app_now()
           from gateway_connections c
           join unnest($1::text[], $2::text[], $3::text[]) as k (gateway, feed, api) on k.gateway = c.gateway
          where not exists (select from connection_feeds f where f.connection_id = c.id and f.feed = k.feed)
          order by c.id, k.feed
         on conflict do nothing",
        &column(|kind| kind.gateway.as_ref()),
        &column(|kind| kind.feed),
        &column(|kind| kind.api.as_ref()),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Claims for `lease` the list of an API that has waited longest, of the failing lists or of the others.
pub async fn claim(
    db: &mut PgConnection,
    (api, failing): (GatewayApi, bool),
    lease: TimeDelta,
) -> Result<Option<ClaimedFeed>, StoreError> {
    let row = sqlx::query!(
        "update connection_feeds f set tried_at = app_now(), next_check_at = app_now() + $3::interval
           from (select connection_id, feed from connection_feeds
                  where api = $1 and failing = $2 and next_check_at <= app_now()
                  order by next_check_at limit 1 for update skip locked) due
          where f.connection_id = due.connection_id and f.feed = due.feed
         returning f.connection_id, f.feed, f.polled_until, f.cursor, f.failures",
        api.as_ref(),
        failing,
        interval(lease),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| ClaimedFeed {
        connection: row.connection_id.into(),
        feed: row.feed,
        polled_until: row.polled_until,
        cursor: row.cursor,
        failures: row.failures,
    }))
}

/// Records the progress of a list and the position where to continue. Returns its watermark.
pub async fn advance(
    db: &mut PgConnection,
    claimed: &ClaimedFeed,
    (read_until, cursor): (Option<DateTime<Utc>>, Option<&str>),
) -> Result<DateTime<Utc>, StoreError> {
    Ok(sqlx::query_scalar!(
        "update connection_feeds set polled_until = greatest(polled_until, $3), cursor = $4, failures = 0, last_error = null
          where connection_id = $1 and feed = $2 returning polled_until",
        claimed.connection.uuid(),
        claimed.feed,
        read_until,
        cursor,
    )
    .fetch_one(db)
    .await?)
}

/// Schedules the next poll of a list after `pause`. A fully read list of an archived connection is polled once a day, and never again once
/// the connection had no payment for `ARCHIVED_DAYS`.
pub async fn rest(
    db: &mut PgConnection,
    claimed: &ClaimedFeed,
    (pause, is_read): (TimeDelta, bool),
) -> Result<(), StoreError> {
    sqlx::query!(
        "update connection_feeds f set next_check_at = case
                when not $4 or c.status <> 'archived' then app_now() + $3::interval
                when exists (select from payments p where p.connection_id = f.connection_id
                                and p.paid_at > app_now() - make_interval(days => $5))
                    then app_now() + greatest($3::interval, interval '1 day') end
           from gateway_connections c
          where f.connection_id = $1 and f.feed = $2 and c.id = f.connection_id",
        claimed.connection.uuid(),
        claimed.feed,
        interval(pause),
        is_read,
        ARCHIVED_DAYS,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Counts a failure; the list is retried after `pause`.
pub async fn failed(
    db: &mut PgConnection,
    claimed: &ClaimedFeed,
    (pause, why): (TimeDelta, &str),
) -> Result<(), StoreError> {
    sqlx::query!(
        "update connection_feeds set failures = failures + 1, last_error = $4, next_check_at = app_now() + $3::interval
          where connection_id = $1 and feed = $2",
        claimed.connection.uuid(),
        claimed.feed,
        interval(pause),
        why,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Makes all lists of a connection due now and resets their failures, because it has new credentials.
pub async fn wake(db: &mut PgConnection, connection: ConnectionId) -> Result<(), StoreError> {
    sqlx::query!(
        "update connection_feeds set next_check_at = app_now(), failures = 0 where connection_id = $1",
        connection.uuid()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Returns the age in seconds of each API's oldest watermark among connections that are not archived. It is the metric of polling lag.
pub async fn oldest_s(db: &mut PgConnection) -> Result<Vec<(String, f64)>, StoreError> {
    let rows = sqlx::query!(
        r#"select f.api, greatest(0, extract(epoch from app_now() - min(f.polled_until)))::float8 as "age!"
             from connection_feeds f join gateway_connections c on c.id = f.connection_id
            where c.status <> 'archived' group by f.api order by f.api"#
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.api, row.age)).collect())
}
