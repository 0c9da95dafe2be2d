//! Pages of a merchant's events. They never skip an event that commits late.

use chrono::{DateTime, Utc};
use schemas::{
    event::{self, Event, EventSubjectKind, EventType},
    gateway::Mode,
    id::{EventId, MerchantId},
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, error::parse, page::Range};

/// Filter of a list of events.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFilter {
    pub kind: Option<EventType>,
    /// Id of their subject.
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
        let subject: EventSubjectKind = parse("events.subject_type", &self.subject_type)?;
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

/// Returns a page of events, newest first, and true if more follow.
///
/// Events are ordered by position. The caller runs [`super::order::assign`] first: an event that commits later is newer than all events
/// that were listed earlier.
pub async fn list(
    db: &mut PgConnection,
    merchant: MerchantId,
    mode: Mode,
    filter: EventFilter,
    range: Range,
) -> Result<(Vec<Event>, bool), StoreError> {
    let Some(between) = between(db, (merchant, mode), range).await? else {
        return Ok((Vec::new(), false));
    };
    let tenant = (merchant.uuid(), mode.as_ref());
    let kind = filter.kind.map(|kind| kind.as_ref().to_owned());
    let rows = match (filter.subject, &kind) {
        (Some(subject), kind) => {
            of_subject(db, tenant, (subject, kind.as_deref()), &between).await?
        }
        (None, Some(kind)) => of_type(db, tenant, kind, &between).await?,
        (None, None) => all(db, tenant, &between).await?,
    };
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| row.read(mode))
        .collect::<Result<_, _>>()?;
    Ok(range.cut(rows))
}

/// Bounds of a page by position.
struct Between {
    after: i64,
    before: i64,
    /// True if the page is read in ascending order.
    ascending: bool,
    limit: i64,
}

/// Returns a page's bounds, or `None` if its cursor is not an event of the merchant.
async fn between(
    db: &mut PgConnection,
    (merchant, mode): (MerchantId, Mode),
    range: Range,
) -> Result<Option<Between>, StoreError> {
    let mut between = Between {
        after: 0,
        before: i64::MAX,
        ascending: range.before.is_some(),
        limit: range.fetch(),
    };
    let Some(cursor) = range.after.or(range.before) else {
        return Ok(Some(between));
    };
    let position = sqlx::query_scalar!(
        "select position from events where id = $1 and merchant_id = $2 and mode = $3",
        cursor,
        merchant.uuid(),
        mode.as_ref(),
    )
    .fetch_optional(db)
    .await?
    .flatten();
    Ok(position.map(|position| {
        if between.ascending {
            between.after = position;
        } else {
            between.before = position;
        }
        between
    }))
}

// One statement for each filter and direction: a common plan for all of them would use no index well.

async fn all(
    db: &mut PgConnection,
    (merchant, mode): (Uuid, &str),
    between: &Between,
) -> Result<Vec<Row>, StoreError> {
    if between.ascending {
        return Ok(sqlx::query_as!(
            Row,
            "select id, type, subject_type, subject_id, sequence, data, created_at from events
              where merchant_id = $1 and mode = $2 and position > $3 order by position limit $4",
            merchant,
            mode,
            between.after,
            between.limit,
        )
        .fetch_all(db)
        .await?);
    }
    Ok(sqlx::query_as!(
        Row,
        "select id, type, subject_type, subject_id, sequence, data, created_at from events
          where merchant_id = $1 and mode = $2 and position < $3 order by position desc limit $4",
        merchant,
        mode,
        between.before,
        between.limit,
    )
    .fetch_all(db)
    .await?)
}

async fn of_type(
    db: &mut PgConnection,
    (merchant, mode): (Uuid, &str),
    kind: &str,
    between: &Between,
) -> Result<Vec<Row>, StoreError> {
    if between.ascending {
        return Ok(sqlx::query_as!(
            Row,
            "select id, type, subject_type, subject_id, sequence, data, created_at from events
              where merchant_id = $1 and mode = $2 and type = $3 and position > $4 order by position limit $5",
            merchant,
            mode,
            kind,
            between.after,
            between.limit,
        )
        .fetch_all(db)
        .await?);
    }
    Ok(sqlx::query_as!(
        Row,
        "select id, type, subject_type, subject_id, sequence, data, created_at from events
          where merchant_id = $1 and mode = $2 and type = $3 and position < $4 order by position desc limit $5",
        merchant,
        mode,
        kind,
        between.before,
        between.limit,
    )
    .fetch_all(db)
    .await?)
}

/// A subject has few events: they are read by subject and then sorted.
async fn of_subject(
    db: &mut PgConnection,
    (merchant, mode): (Uuid, &str),
    (subject, kind): (Uuid, Option<&str>),
    between: &Between,
) -> Result<Vec<Row>, StoreError> {
    Ok(sqlx::query_as!(
        Row,
        "select id, type, subject_type, subject_id, sequence, data, created_at from events
          where subject_id = $1 and merchant_id = $2 and mode = $3 and ($4::text is null or type = $4)
            and position > $5 and position < $6
          order by case when $7 then position end, position desc limit $8",
        subject,
        merchant,
        mode,
        kind,
        between.after,
        between.before,
        between.ascending,
        between.limit,
    )
    .fetch_all(db)
    .await?)
}

/// Returns the event, if it belongs to this merchant and mode.
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
