//! Notifications from gateways. The raw body is sealed; its facts are matched by reference to attempts of the same connection.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemas::id::{AttemptId, ChargeId, ConnectionId, NotificationId};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Store, StoreError, connections::Connection, payers::erase};

pub mod raw;
pub mod sealed;
pub mod unmatched;

/// One fact of a notification, as the gateway's client read it.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Key for deduplication; repetitions of a fact have the same key.
    pub dedupe_key: String,
    /// The gateway's own name of the event.
    pub event: String,
    pub reference: Option<String>,
    pub gateway_charge: Option<String>,
    /// The gateway's id of the payment, or its end-to-end id.
    pub gateway_payment: Option<String>,
    /// State that the gateway reports. `None`: the gateway must be read.
    pub observed: Option<Value>,
    /// Time of the fact as the gateway states it.
    pub stated_at: Option<DateTime<Utc>>,
    /// True if it states that the charge is payable. Such a fact is ignored if it is repeated or older than applied facts.
    pub is_payable: bool,
    /// True if it requires processing.
    pub matters: bool,
}

/// Source of facts, which determines the handling of repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationSource<'a> {
    /// The gateway sent this body. A repeated fact is counted; a repetition of an applied fact makes the charge's check read the gateway.
    Received(&'a [u8]),
    /// A stored body is read again, as if it were received again.
    Again(NotificationId),
    /// Read from the gateway's list. A repetition only means that two readings overlap.
    Listed,
}

/// Result of storing a notification.
#[derive(Debug, Default)]
pub struct IngestSummary {
    /// Charges that must process their observations.
    pub charges: Vec<ChargeId>,
    /// Number of facts about the merchant's other business.
    pub foreign: i64,
    /// Number of facts with a reference of our format that matches no row.
    pub unmatched: i64,
    /// Id of the stored body.
    pub raw: Option<NotificationId>,
}

/// Content of a body or a list.
#[derive(Clone, Debug, Default)]
pub struct ReadNotices {
    pub notices: Vec<Notice>,
    /// Reason why part of it could not be read, without any of its content. The body is stored for this reason.
    pub unreadable: Option<String>,
}

/// Stores the facts of a verified notification. Repeated facts are counted. A body without one of our charges is not stored, unless it is
/// unreadable or has an unmatched reference.
pub async fn ingest(
    db: &mut PgConnection,
    store: &Store,
    from: &Connection,
    source: NotificationSource<'_>,
    read: &ReadNotices,
) -> Result<IngestSummary, StoreError> {
    let id = crate::new_id();
    let notification = match source {
        NotificationSource::Received(_) => Some(id),
        NotificationSource::Again(raw) => Some(raw.uuid()),
        NotificationSource::Listed => None,
    };
    let mut stored = IngestSummary::default();
    let (mut ours, mut about) = (false, BTreeMap::new());
    for notice in &read.notices {
        match match_notice(db, from.id, notice).await? {
            Match::Ours(charge, attempt) => {
                ours = true;
                let written =
                    store_observation(db, from, notification, notice, (charge, attempt)).await?;
                if let Some(payer) = written.payer {
                    about.insert(payer, written.payer_key);
                }
                if let (true, NotificationSource::Again(body)) = (written.is_erased, source) {
                    erase::delete_body(db, body.uuid()).await?;
                }
                if written.is_open && !stored.charges.contains(&charge) {
                    stored.charges.push(charge);
                }
            }
            Match::Unmatched(reference) if notice.matters => {
                ours = true;
                stored.unmatched += 1;
                store_unmatched(db, from, notification, notice, &reference).await?;
            }
            Match::Unmatched(_) | Match::Foreign => stored.foreign += 1,
        }
    }
    let unreadable = read.unreadable.as_deref();
    if let (true, NotificationSource::Received(body)) = (ours || unreadable.is_some(), source) {
        store_raw(db, store, from, (id, &about), (body, unreadable)).await?;
        stored.raw = Some(id.into());
    }
    if stored.foreign > 0 && notification.is_some() {
        count_foreign(db, from, stored.foreign).await?;
    }
    Ok(stored)
}

/// Stores a body about these charges, unless one of their payers was erased.
async fn store_raw(
    db: &mut PgConnection,
    store: &Store,
    from: &Connection,
    (id, about): (Uuid, &BTreeMap<Uuid, Option<Vec<u8>>>),
    (body, unreadable): (&[u8], Option<&str>),
) -> Result<(), StoreError> {
    let merchant = from.merchant.uuid();
    let Some(sealed) = sealed::seal(db, store, (merchant, id), about, body).await? else {
        return Ok(());
    };
    sqlx::query!(
        "insert into notifications (id, merchant_id, mode, connection_id, gateway, body_sealed, unreadable, key_sealed, payer_ids)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        id,
        merchant,
        from.mode.as_ref(),
        from.id.uuid(),
        from.gateway.as_ref(),
        sealed.body,
        unreadable,
        sealed.key,
        &sealed.payers,
    )
    .execute(db)
    .await?;
    Ok(())
}

enum Match {
    Ours(ChargeId, AttemptId),
    Unmatched(String),
    Foreign,
}

async fn match_notice(
    db: &mut PgConnection,
    connection: ConnectionId,
    notice: &Notice,
) -> Result<Match, StoreError> {
    let attempt = notice
        .reference
        .as_deref()
        .and_then(AttemptId::from_reference);
    let charge = notice.gateway_charge.as_deref();
    let mut found = attempt_of(db, connection, attempt, charge).await?;
    if let (None, Some(payment)) = (&found, &notice.gateway_payment) {
        found = paid_attempt(db, connection, payment).await?;
    }
    if let Some((charge, attempt)) = found {
        return Ok(Match::Ours(charge, attempt));
    }
    Ok(match &notice.reference {
        Some(reference) if attempt.is_some() => Match::Unmatched(reference.clone()),
        _ => Match::Foreign,
    })
}

/// Returns the attempt of this connection with that id or with that charge at the gateway.
async fn attempt_of(
    db: &mut PgConnection,
    connection: ConnectionId,
    attempt: Option<AttemptId>,
    gateway_charge: Option<&str>,
) -> Result<Option<(ChargeId, AttemptId)>, StoreError> {
    let row = sqlx::query!(
        "select id, charge_id from attempts
          where connection_id = $1 and (id = $2 or gateway_charge_id = $3)
          order by id = $2 desc nulls last, id limit 1",
        connection.uuid(),
        attempt.map(AttemptId::uuid),
        gateway_charge,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.charge_id.into(), row.id.into())))
}

/// Returns the attempt of this connection that received the payment.
async fn paid_attempt(
    db: &mut PgConnection,
    connection: ConnectionId,
    payment: &str,
) -> Result<Option<(ChargeId, AttemptId)>, StoreError> {
    let row = sqlx::query!(
        "select attempt_id, charge_id from payments
          where connection_id = $1 and (gateway_payment_id = $2 or end_to_end_id = $2) order by id limit 1",
        connection.uuid(),
        payment,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.charge_id.into(), row.attempt_id.into())))
}

/// Result of writing a fact.
#[derive(Clone, Default)]
struct Written {
    /// True if it is not handled.
    is_open: bool,
    /// True if the charge's payer was erased.
    is_erased: bool,
    payer: Option<Uuid>,
    /// Wrapped key of the payer. `None` once the payer is erased.
    payer_key: Option<Vec<u8>>,
}

/// Writes a fact. A fact that is older than the last applied one of its attempt becomes a hint and is not applied, and so does a repetition
/// of an applied fact. In both cases a fact that only states that the charge is payable is ignored. Locks the payer until the transaction
/// ends, so that it is not erased: either erasing sees the fact, or the data about the erased payer is not written.
async fn store_observation(
    db: &mut PgConnection,
    from: &Connection,
    notification: Option<Uuid>,
    notice: &Notice,
    (charge, attempt): (ChargeId, AttemptId),
) -> Result<Written, StoreError> {
    let written = sqlx::query_as!(
        Written,
        r#"with late as (select exists (select from observations applied
                           where applied.charge_id = $6 and applied.attempt_id = $7 and applied.handled_at is not null
                             and applied.stated_at > $11) as is_late),
                payer as materialized (
                    select id, data_key, data_key is null as is_erased from payers
                     where id = (select payer_id from charges where id = $6) for key share)
           insert into observations (connection_id, dedupe_key, merchant_id, mode, notification_id, charge_id, attempt_id,
                                           event, observed, handled_at, stated_at)
           select $1, $2, $3, $4, $5, $6, $7, $8, case when not is_late and not is_erased then $9::jsonb end,
                  case when not $10 or (is_late and $12) then app_now() end, $11
             from late left join payer on true
           on conflict (connection_id, dedupe_key) do update
              set received_count = observations.received_count + 1, received_at = app_now(), checks = 0,
                  observed = case when observations.handled_at is null then observations.observed end,
                  handled_at = case when $12 then observations.handled_at else excluded.handled_at end
            where excluded.notification_id is not null
           returning handled_at is null as "is_open!", coalesce((select is_erased from payer), true) as "is_erased!",
                     (select id from payer) as payer, (select data_key from payer) as payer_key"#,
        from.id.uuid(),
        notice.dedupe_key,
        from.merchant.uuid(),
        from.mode.as_ref(),
        notification,
        charge.uuid(),
        attempt.uuid(),
        notice.event,
        notice.observed,
        notice.matters,
        notice.stated_at,
        notice.is_payable,
    )
    .fetch_optional(db)
    .await?;
    Ok(written.unwrap_or_default())
}

async fn store_unmatched(
    db: &mut PgConnection,
    from: &Connection,
    notification: Option<Uuid>,
    notice: &Notice,
    reference: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into unmatched_notifications (connection_id, dedupe_key, merchant_id, mode, notification_id, reference, next_check_at)
         values ($1, $2, $3, $4, $5, $6, app_now())
         on conflict (connection_id, dedupe_key) do update
            set received_count = unmatched_notifications.received_count + 1, next_check_at = app_now(), checks = 0
          where excluded.notification_id is not null",
        from.id.uuid(),
        notice.dedupe_key,
        from.merchant.uuid(),
        from.mode.as_ref(),
        notification,
        reference,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn count_foreign(
    db: &mut PgConnection,
    from: &Connection,
    count: i64,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into foreign_notifications (connection_id, merchant_id, mode, day, count)
         values ($1, $2, $3, (app_now() at time zone 'America/Sao_Paulo')::date, $4)
         on conflict (connection_id, day) do update set count = foreign_notifications.count + excluded.count",
        from.id.uuid(),
        from.merchant.uuid(),
        from.mode.as_ref(),
        count,
    )
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
