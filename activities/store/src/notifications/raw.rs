//! Bodies that were kept, to be read again.

use chrono::{DateTime, TimeDelta, Utc};
use schemas::id::{ConnectionId, NotificationId};
use sqlx::PgConnection;

use super::sealed::{self, SealedBody};
use crate::{Store, StoreError, sweep::interval};

/// A body that was kept, opened to be read again.
#[derive(Debug)]
pub struct RawNotification {
    pub id: NotificationId,
    pub connection: ConnectionId,
    pub body: Vec<u8>,
}

/// The most bodies that are opened at a time.
const PAGE: i64 = 100;

/// A page of kept bodies after `after`, oldest first: since then, of that connection, or only those that could not be read.
/// Those of erased payers are left out.
pub async fn page(
    db: &mut PgConnection,
    store: &Store,
    filter: &RawFilter,
    after: Option<NotificationId>,
) -> Result<Vec<RawNotification>, StoreError> {
    let rows = sqlx::query!(
        "select id, merchant_id, connection_id, body_sealed, key_sealed, payer_ids from notifications
          where not exists (select from payers p where p.id = any(notifications.payer_ids) and p.data_key is null)
            and ($1::uuid is null or id > $1) and ($2::uuid is null or connection_id = $2)
            and ($3::timestamptz is null or received_at >= $3) and (not $4 or unreadable is not null)
          order by id limit $5",
        after.map(NotificationId::uuid),
        filter.connection.map(ConnectionId::uuid),
        filter.since,
        filter.unreadable,
        PAGE,
    )
    .fetch_all(&mut *db)
    .await?;
    let mut raw = Vec::with_capacity(rows.len());
    for row in rows {
        let sealed = SealedBody {
            merchant: row.merchant_id,
            notification: row.id,
            body: row.body_sealed,
            key: row.key_sealed,
            payers: row.payer_ids,
        };
        raw.push(RawNotification {
            id: row.id.into(),
            connection: row.connection_id.into(),
            body: sealed::open(db, store, &sealed).await?,
        });
    }
    Ok(raw)
}

/// Which kept bodies are wanted.
#[derive(Clone, Debug, Default)]
pub struct RawFilter {
    pub connection: Option<ConnectionId>,
    pub since: Option<DateTime<Utc>>,
    /// Only those that could not be read when they came.
    pub unreadable: bool,
}

/// Says that a body could be read after all.
pub async fn readable(db: &mut PgConnection, id: NotificationId) -> Result<(), StoreError> {
    sqlx::query!(
        "update notifications set unreadable = null where id = $1",
        id.uuid()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes bodies about no payer of ours that are older than `age`, oldest first and at most `limit`; the answer is how many.
pub async fn delete_unmatched(
    db: &mut PgConnection,
    age: TimeDelta,
    limit: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from notifications where id in (
             select id from notifications where payer_ids = '{}' and received_at < app_now() - $1::interval
              order by received_at limit $2)",
        interval(age),
        limit,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
