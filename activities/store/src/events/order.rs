//! Order of a merchant's events: positions, assigned one after the other to committed events.
//!
//! A caller that lists events assigns positions first; the sweep assigns them for merchants who do not list. Writers do not take part, and
//! an event that commits late is ordered after all events that were listed earlier.

use schemas::{gateway::Mode, id::MerchantId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Store, StoreError, error::parse};

/// Number of events that one transaction assigns positions to. The statement contains the literal, so that the planner knows that it is
/// small.
const PAGE: i64 = 1_000;
/// Maximum number of such transactions per list; the sweep continues.
const PAGES: u32 = 20;

/// Assigns positions to a merchant's events that have none.
pub async fn assign(store: &Store, merchant: MerchantId, mode: Mode) -> Result<(), StoreError> {
    for _ in 0..PAGES {
        if !assign_page(store, merchant, mode).await? {
            break;
        }
    }
    Ok(())
}

/// Assigns positions to one page of a merchant's events. Returns true if more may follow.
pub async fn assign_page(
    store: &Store,
    merchant: MerchantId,
    mode: Mode,
) -> Result<bool, StoreError> {
    let (merchant, mode) = (merchant.uuid(), mode.as_ref());
    // Checks without a lock first, because most lists find no event without a position.
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

/// Returns the last assigned position and locks its row. A later statement sees all positions that were assigned before.
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

/// Returns the merchants that have events without a position.
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
