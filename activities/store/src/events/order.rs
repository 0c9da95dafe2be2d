//! The order of a merchant's events: positions, given one after the other to events that are committed.
//!
//! Whoever lists events gives positions first; the sweep gives them to the events of merchants who do not list. Writers take no
//! part in it, and an event that commits late comes after all that were listed before.

use schemas::{gateway::Mode, id::MerchantId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Store, StoreError, error::parse};

/// How many events one transaction gives positions to. The statement names the number itself: the planner must know that it is small.
const PAGE: i64 = 1_000;
/// How many such transactions one list waits for; the sweep goes on.
const PAGES: u32 = 20;

/// Gives positions to a merchant's events that have none.
pub async fn assign(store: &Store, merchant: MerchantId, mode: Mode) -> Result<(), StoreError> {
    for _ in 0..PAGES {
        if !assign_page(store, merchant, mode).await? {
            break;
        }
    }
    Ok(())
}

/// Gives positions to one page of a merchant's events; whether more may follow.
pub async fn assign_page(
    store: &Store,
    merchant: MerchantId,
    mode: Mode,
) -> Result<bool, StoreError> {
    let (merchant, mode) = (merchant.uuid(), mode.as_ref());
    // without a lock, since most lists find nothing to do
    let some = sqlx::query_scalar!(
        r#"select exists (select from events where merchant_id = $1 and mode = $2 and position is null) as "some!""#,
        merchant,
        mode,
    )
    .fetch_one(&store.pool)
    .await?;
    if !some {
        return Ok(false);
    }
    let mut tx = store.begin().await?;
    let last = last_position(&mut tx, merchant, mode).await?;
    let given = sqlx::query_scalar!(
        r#"with next as (
               select id, row_number() over (order by created_at, sequence, id) as n
                 from (select id, created_at, sequence from events
                        where merchant_id = $1 and mode = $2 and position is null
                        order by created_at, sequence, id limit 1000) waiting),
           given as (
               update events e set position = $3 + next.n from next where e.id = next.id returning 1)
           update event_positions set last_position = last_position + (select count(*) from given)
            where merchant_id = $1 and mode = $2
           returning last_position - $3 as "given!""#,
        merchant,
        mode,
        last,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(given == PAGE)
}

/// The last position given, under the lock of whoever gives the next one. A statement after it sees all that were given before.
async fn last_position(
    db: &mut PgConnection,
    merchant: Uuid,
    mode: &str,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        "insert into event_positions (merchant_id, mode, last_position) values ($1, $2, 0)
         on conflict (merchant_id, mode) do update set last_position = event_positions.last_position
         returning last_position",
        merchant,
        mode,
    )
    .fetch_one(db)
    .await?)
}

/// Merchants with events that have no position.
pub async fn waiting(
    db: &mut PgConnection,
    limit: i64,
) -> Result<Vec<(MerchantId, Mode)>, StoreError> {
    let rows = sqlx::query!(
        "select merchant_id, mode from events where position is null
          group by merchant_id, mode order by min(created_at) limit $1",
        limit,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| Ok((row.merchant_id.into(), parse("events.mode", &row.mode)?)))
        .collect()
}
