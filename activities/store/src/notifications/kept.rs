//! Bodies that were kept, to be read again.

use chrono::{DateTime, Utc};
use schemas::id::{ConnectionId, NotificationId};
use sqlx::PgConnection;

use super::body_place;
use crate::{Store, StoreError};

/// A body that was kept, opened to be read again.
#[derive(Debug)]
pub struct Kept {
    pub id: NotificationId,
    pub connection: ConnectionId,
    pub body: Vec<u8>,
}

/// The most bodies that are opened at a time.
const PAGE: i64 = 100;

/// A page of kept bodies after `after`, oldest first: since then, of that connection, or only those that could not be read.
pub async fn page(
    db: &mut PgConnection,
    store: &Store,
    filter: &Filter,
    after: Option<NotificationId>,
) -> Result<Vec<Kept>, StoreError> {
    let rows = sqlx::query!(
        "select id, merchant_id, connection_id, body_sealed from notifications
          where ($1::uuid is null or id > $1) and ($2::uuid is null or connection_id = $2)
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
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        let key = store.merchant_key(db, row.merchant_id).await?;
        kept.push(Kept {
            id: row.id.into(),
            connection: row.connection_id.into(),
            body: key
                .open(&body_place(row.merchant_id, row.id), &row.body_sealed)?
                .to_vec(),
        });
    }
    Ok(kept)
}

/// Which kept bodies are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
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
