//! An endpoint's queue: turns for the next minute, and behind them parked deliveries, which wait without a timer.

use chrono::{DateTime, TimeDelta, Utc};
use schemas::id::{DeliveryId, EndpointId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{DeliveryJob, PendingDelivery, given_up::is_alarming};
use crate::{StoreError, sweep::interval};

/// The place of a delivery that found no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuePlace {
    /// It is due at `at`.
    Turn {
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    },
    /// Its endpoint gives it a turn later. `first`: the endpoint drains from now on, and its workflow must know.
    Parked { first: bool },
}

/// Gives a delivery the endpoint's next turn, `spacing` after the last one. Turns are given for `horizon` only: what is
/// further behind is parked, and so is what arrives while the endpoint drains.
pub async fn claim_turn(
    db: &mut PgConnection,
    work: &DeliveryJob,
    spacing: TimeDelta,
    horizon: TimeDelta,
) -> Result<QueuePlace, StoreError> {
    let row = sqlx::query!(
        r#"with before as (
               select id, draining, greatest(next_turn_at, app_now()) + $3::interval as turn_at,
                      ($5 or not draining) and coalesce(next_turn_at <= app_now() + $4::interval, true) as given
                 from webhook_endpoints where id = $2 for no key update),
           endpoint as (
               update webhook_endpoints w
                  set next_turn_at = case when before.given then before.turn_at else w.next_turn_at end,
                      draining = w.draining or not before.given,
                      next_check_at = case when before.given then w.next_check_at else coalesce(w.next_check_at, app_now()) end
                 from before where w.id = before.id)
           update deliveries d
              set next_check_at = case when before.given then before.turn_at end, has_turn = before.given
             from before
            where d.id = $1 and d.state = 'pending'
           returning d.next_check_at, app_now() as "now!", not before.given and not before.draining as "first!""#,
        work.delivery.uuid(),
        work.endpoint.uuid(),
        interval(spacing),
        interval(horizon),
        work.has_turn,
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else {
        return Ok(QueuePlace::Parked { first: false });
    };
    Ok(match row.next_check_at {
        Some(at) => QueuePlace::Turn { at, now: row.now },
        None => QueuePlace::Parked { first: row.first },
    })
}

/// Parks a delivery: only its endpoint's next check gives it a time again.
pub async fn park(db: &mut PgConnection, id: DeliveryId) -> Result<(), StoreError> {
    sqlx::query!(
        "update deliveries set next_check_at = null, has_turn = false where id = $1 and state = 'pending'",
        id.uuid(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Turns to give: how many, from when on, how far apart.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    pub count: i64,
    pub first_at: DateTime<Utc>,
    pub spacing: TimeDelta,
}

/// Gives parked deliveries of an endpoint their turns, oldest first; the caller holds the endpoint's lock.
pub async fn claim_parked(
    db: &mut PgConnection,
    endpoint: EndpointId,
    turns: Turns,
) -> Result<Vec<(PendingDelivery, DateTime<Utc>)>, StoreError> {
    let page = sqlx::query_scalar!(
        "select id from deliveries where endpoint_id = $1 and state = 'pending' and next_check_at is null
          order by id limit $2 for update",
        endpoint.uuid(),
        turns.count,
    )
    .fetch_all(&mut *db)
    .await?;
    if page.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"with claimed as (
               update deliveries
                  set next_check_at = $2::timestamptz + (array_position($1::uuid[], id) - 1) * $3::interval, has_turn = true
                where id = any($1)
               returning id, merchant_id, endpoint_id, subject_id, next_check_at)
           select claimed.id, claimed.merchant_id, claimed.endpoint_id, claimed.next_check_at as "next_check_at!",
                  c.id as "charge?", coalesce(w.slow_until > app_now(), false) as "slow!"
             from claimed
             join webhook_endpoints w on w.id = claimed.endpoint_id
             left join charges c on c.id = claimed.subject_id
            order by claimed.id"#,
        &page,
        turns.first_at,
        interval(turns.spacing),
    )
    .fetch_all(db)
    .await?;
    let due = rows.into_iter().map(|row| {
        let again = PendingDelivery::again(row.id, row.merchant_id, row.endpoint_id, row.charge);
        let due = PendingDelivery {
            slow: row.slow,
            ..again
        };
        (due, row.next_check_at)
    });
    Ok(due.collect())
}

/// Discards a page of what waits for a deleted endpoint, oldest first; returns how many there were.
pub async fn discard_page(
    db: &mut PgConnection,
    endpoint: EndpointId,
    limit: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update deliveries set state = 'discarded', next_check_at = null, has_turn = false
          where state = 'pending' and id = any(array(
                select id from deliveries where endpoint_id = $1 and state = 'pending' order by id limit $2))",
        endpoint.uuid(),
        limit,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Deliveries that were given up.
#[derive(Clone, Copy, Debug)]
pub struct GivenUp {
    pub all: u64,
    /// Those of which the merchant is alerted.
    pub alarming: u64,
}

/// Gives up a page of the parked deliveries created before `before`, oldest first. Locks the endpoint before them: the order of all who
/// lock both.
pub async fn give_up_page(
    db: &mut PgConnection,
    endpoint: EndpointId,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<GivenUp, StoreError> {
    let kinds = sqlx::query_scalar!(
        "with held as materialized (select id from webhook_endpoints where id = $1 for no key update)
         update deliveries set state = 'failed'
          where state = 'pending' and next_check_at is null and created_at < $2 and id = any(array(
                select id from deliveries
                 where endpoint_id = (select id from held) and state = 'pending' and next_check_at is null
                 order by id limit $3))
         returning event_type",
        endpoint.uuid(),
        before,
        limit,
    )
    .fetch_all(db)
    .await?;
    let mut given_up = GivenUp {
        all: 0,
        alarming: 0,
    };
    for kind in kinds {
        given_up.all += 1;
        given_up.alarming += u64::from(is_alarming(&kind));
    }
    Ok(given_up)
}

/// Returns the pending delivery that probes a paused endpoint: the one after `last`, or the oldest, so that one that the endpoint
/// never accepts does not keep it paused.
pub async fn next_probe(
    db: &mut PgConnection,
    endpoint: EndpointId,
    last: Option<Uuid>,
) -> Result<Option<DeliveryId>, StoreError> {
    let id = sqlx::query_scalar!(
        r#"select coalesce(
               (select id from deliveries where endpoint_id = $1 and state = 'pending' and id > $2 order by id limit 1),
               (select id from deliveries where endpoint_id = $1 and state = 'pending' order by id limit 1)) as id"#,
        endpoint.uuid(),
        last,
    )
    .fetch_one(db)
    .await?;
    Ok(id.map(Into::into))
}
