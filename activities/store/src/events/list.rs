//! A merchant's events, a page at a time, without ever skipping one that commits late.

use chrono::{DateTime, Utc};
use schemas::{
    event::{self, Event, SubjectKind, Type},
    gateway::Mode,
    id::{EventId, MerchantId},
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, error::parse, page::Range};

/// Which events are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub kind: Option<Type>,
    /// The id of what they are about.
    pub subject: Option<Uuid>,
}

struct Row {
    id: Uuid,
    r#type: String,
    subject_type: String,
    subject_id: Uuid,
    sequence: i64,
    data: serde_json::Value,
    created_at: DateTime<Utc>,
}

impl Row {
    fn read(self, mode: Mode) -> Result<Event, StoreError> {
        let subject: SubjectKind = parse("events.subject_type", &self.subject_type)?;
        Ok(Event {
            id: self.id.into(),
            kind: parse("events.type", &self.r#type)?,
            api_version: event::API_VERSION.to_owned(),
            mode,
            created_at: self.created_at,
            subject: subject.name(self.subject_id),
            sequence: self.sequence,
            data: self.data,
        })
    }
}

/// A page of events, newest first, and whether more follow.
///
/// The order is that of the transactions that wrote them, and only those older than every transaction still open are listed: what
/// appears later is always newer than what was listed before.
pub async fn list(
    db: &mut PgConnection,
    merchant: MerchantId,
    mode: Mode,
    filter: Filter,
    range: Range,
) -> Result<(Vec<Event>, bool), StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select id, type, subject_type, subject_id, sequence, data, created_at
           from events
          where merchant_id = $1 and mode = $2 and xid < pg_snapshot_xmin(pg_current_snapshot())
            and ($3::text is null or type = $3) and ($4::uuid is null or subject_id = $4)
            and ($5::uuid is null or (xid, id) < (select c.xid, c.id from events c where c.id = $5))
            and ($6::uuid is null or (xid, id) > (select c.xid, c.id from events c where c.id = $6))
          order by case when $6::uuid is null then xid end desc, case when $6::uuid is null then id end desc,
                   case when $6::uuid is not null then xid end, case when $6::uuid is not null then id end
          limit $7",
        merchant.uuid(),
        mode.as_ref(),
        filter.kind.map(|kind| kind.as_ref().to_owned()),
        filter.subject,
        range.after,
        range.before,
        range.fetch(),
    )
    .fetch_all(db)
    .await?;
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| row.read(mode))
        .collect::<Result<_, _>>()?;
    Ok(range.cut(rows))
}

/// The event of that id.
pub async fn find(
    db: &mut PgConnection,
    merchant: MerchantId,
    mode: Mode,
    id: EventId,
) -> Result<Option<Event>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select id, type, subject_type, subject_id, sequence, data, created_at
           from events where id = $1 and merchant_id = $2 and mode = $3",
        id.uuid(),
        merchant.uuid(),
        mode.as_ref(),
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| row.read(mode)).transpose()
}
