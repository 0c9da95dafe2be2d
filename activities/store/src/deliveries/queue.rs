//! Queue of an endpoint: turns within a limited horizon, and parked deliveries behind them, which wait without a timer.

use chrono::{DateTime, TimeDelta, Utc};
use schemas::id::{DeliveryId, EndpointId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{DeliveryJob, PendingDelivery, given_up::is_alarming};
use crate::{StoreError, sweep::interval};

/// Place of a delivery that found no free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuePlace {
    /// It is due at `at`.
    Turn {
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    },
    /// Its endpoint assigns it a turn later. If `first` is true, the endpoint starts draining, and its workflow must be informed.
    Parked { first: bool },
}

/// Assigns the endpoint's next turn to a delivery, `spacing` after the previous one. Turns are assigned up to `horizon` ahead; a delivery
/// that is further behind, or that arrives while the endpoint drains, is parked.
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

/// Parks a delivery. Only its endpoint's next check schedules it again.
pub async fn park(db: &mut PgConnection, id: DeliveryId) -> Result<(), StoreError> {
    sqlx::query!(
        "update deliveries set next_check_at = null, has_turn = false where id = $1 and state = 'pending'",
        id.uuid(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Turns to assign: their number, the first time and the distance between them.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    pub count: i64,
    pub first_at: DateTime<Utc>,
    pub spacing: TimeDelta,
}

/// Assigns turns to an endpoint's parked deliveries, oldest first. The caller holds the endpoint's lock.
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

/// Discards a page of the deliveries that wait for a deleted endpoint, oldest first. Returns their number.
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

/// Numbers of deliveries that were given up.
#[derive(Clone, Copy, Debug)]
pub struct GivenUp {
    pub all: u64,
    /// Number of those that the merchant is alerted about.
    pub alarming: u64,
}

/// Gives up a page of the parked deliveries created before `before`, oldest first. Locks the endpoint before the deliveries, as every
/// transaction that locks both does.
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

/// Returns the pending delivery that probes a paused endpoint: the one after `last`, or the oldest. Different deliveries are used, so that
/// a delivery that the endpoint never accepts does not leave it paused.
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
