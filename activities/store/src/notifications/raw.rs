//! Stored bodies, to be read again.

use chrono::{DateTime, TimeDelta, Utc};
use schemas::id::{ConnectionId, NotificationId};
use sqlx::PgConnection;

use super::sealed::{self, SealedBody};
use crate::{Store, StoreError, sweep::interval};

/// Stored body.
#[derive(Debug)]
pub struct RawNotification {
    pub id: NotificationId,
    pub connection: ConnectionId,
    /// Unsealed body. `None` if it does not open; it delays no other.
    pub body: Option<Vec<u8>>,
}

/// Maximum number of bodies per page.
const PAGE: i64 = 100;

/// Returns a page of the stored bodies after `after` that match `filter`, oldest first. Excludes those of erased payers.
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
        let body = match sealed::open(db, store, &sealed).await {
            Ok(body) => Some(body),
            Err(StoreError::Vault(error)) => {
                tracing::error!(notification = %row.id, %error, "a stored body does not open");
                None
            }
            Err(error) => return Err(error),
        };
        raw.push(RawNotification {
            id: row.id.into(),
            connection: row.connection_id.into(),
            body,
        });
    }
    Ok(raw)
}

/// Filter of stored bodies.
#[derive(Clone, Debug, Default)]
pub struct RawFilter {
    pub connection: Option<ConnectionId>,
    pub since: Option<DateTime<Utc>>,
    /// True for only those that could not be read when they were received.
    pub unreadable: bool,
}

/// Records that a body is readable now.
pub async fn readable(db: &mut PgConnection, id: NotificationId) -> Result<(), StoreError> {
    sqlx::query!(
        "update notifications set unreadable = null where id = $1",
        id.uuid()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes bodies without payers that are older than `age`, oldest first and at most `limit`. Returns their number.
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
