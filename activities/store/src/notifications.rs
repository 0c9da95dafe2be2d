//! What gateways tell us: the raw body sealed, its facts matched to our attempts by reference, within their connection only.

use schemas::id::{AttemptId, ChargeId, ConnectionId, NotificationId};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Store, StoreError, connections::Connection, vault::Place};

/// One fact of a notification, as its gateway's client read it.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Repeats of the same fact carry the same key.
    pub dedupe_key: String,
    /// The gateway's own name for it.
    pub event: String,
    pub reference: Option<String>,
    pub gateway_charge: Option<String>,
    /// The charge as the gateway states it; `None`: it must be asked.
    pub observed: Option<Value>,
    /// Whether anything is to be done about it.
    pub matters: bool,
}

/// What came of storing a notification.
#[derive(Debug, Default)]
pub struct Stored {
    /// The charges that must look at their facts.
    pub charges: Vec<ChargeId>,
    /// Facts about the merchant's other business.
    pub foreign: i64,
    /// Facts with a reference of our shape that belongs to no row.
    pub stray: i64,
}

/// Where a raw body belongs.
fn body_place(merchant: Uuid, notification: Uuid) -> Place {
    Place::new(merchant, "notifications", "body_sealed", notification)
}

/// Stores what a verified notification says. A repeated fact is counted and armed again; a body with nothing about us is not kept.
pub async fn record(
    db: &mut PgConnection,
    store: &Store,
    from: &Connection,
    body: &[u8],
    notices: &[Notice],
) -> Result<Stored, StoreError> {
    let id = crate::new_id();
    let mut stored = Stored::default();
    let mut ours = false;
    for notice in notices {
        match whose(db, from.id, notice).await? {
            Whose::Ours(charge, attempt) => {
                ours = true;
                fact(db, from, id, notice, (charge, attempt)).await?;
                if notice.matters && !stored.charges.contains(&charge) {
                    stored.charges.push(charge);
                }
            }
            Whose::Stray(reference) if notice.matters => {
                ours = true;
                stored.stray += 1;
                stray(db, from, id, notice, &reference).await?;
            }
            Whose::Stray(_) | Whose::Foreign => stored.foreign += 1,
        }
    }
    if ours {
        keep(db, store, from, id, (body, None)).await?;
    }
    if stored.foreign > 0 {
        count_foreign(db, from, stored.foreign).await?;
    }
    Ok(stored)
}

/// Keeps a verified body that could not be read; `why` holds none of it.
pub async fn record_unreadable(
    db: &mut PgConnection,
    store: &Store,
    from: &Connection,
    body: &[u8],
    why: &str,
) -> Result<NotificationId, StoreError> {
    let id = crate::new_id();
    keep(db, store, from, id, (body, Some(why))).await?;
    Ok(id.into())
}

async fn keep(
    db: &mut PgConnection,
    store: &Store,
    from: &Connection,
    id: Uuid,
    (body, unreadable): (&[u8], Option<&str>),
) -> Result<(), StoreError> {
    let merchant = from.merchant.uuid();
    let key = store.merchant_key(db, merchant).await?;
    sqlx::query!(
        "insert into notifications (id, merchant_id, mode, connection_id, gateway, body_sealed, unreadable)
         values ($1, $2, $3, $4, $5, $6, $7)",
        id,
        merchant,
        from.mode.as_ref(),
        from.id.uuid(),
        from.gateway.as_ref(),
        key.seal(&body_place(merchant, id), body),
        unreadable,
    )
    .execute(db)
    .await?;
    Ok(())
}

enum Whose {
    Ours(ChargeId, AttemptId),
    Stray(String),
    Foreign,
}

async fn whose(
    db: &mut PgConnection,
    connection: ConnectionId,
    notice: &Notice,
) -> Result<Whose, StoreError> {
    let attempt = notice
        .reference
        .as_deref()
        .and_then(AttemptId::from_reference);
    if let Some((charge, attempt)) =
        attempt_of(db, connection, attempt, notice.gateway_charge.as_deref()).await?
    {
        return Ok(Whose::Ours(charge, attempt));
    }
    Ok(match &notice.reference {
        Some(reference) if attempt.is_some() => Whose::Stray(reference.clone()),
        _ => Whose::Foreign,
    })
}

/// The attempt of this connection with that id, or with that charge at the gateway.
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

async fn fact(
    db: &mut PgConnection,
    from: &Connection,
    notification: Uuid,
    notice: &Notice,
    (charge, attempt): (ChargeId, AttemptId),
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into notification_facts (connection_id, dedupe_key, merchant_id, mode, notification_id, charge_id, attempt_id,
                                         event, observed, handled_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, case when $10 then null else now() end)
         on conflict (connection_id, dedupe_key) do update
            set seen = notification_facts.seen + 1, received_at = now(), observed = excluded.observed,
                handled_at = excluded.handled_at",
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
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn stray(
    db: &mut PgConnection,
    from: &Connection,
    notification: Uuid,
    notice: &Notice,
    reference: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into stray_notifications (connection_id, dedupe_key, merchant_id, mode, notification_id, reference, look_at)
         values ($1, $2, $3, $4, $5, $6, now())
         on conflict (connection_id, dedupe_key) do update
            set seen = stray_notifications.seen + 1, look_at = now(), looks = 0",
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
         values ($1, $2, $3, (now() at time zone 'America/Sao_Paulo')::date, $4)
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

/// A stray whose turn it is.
#[derive(Debug)]
pub struct Stray {
    pub connection: ConnectionId,
    pub dedupe_key: String,
    pub reference: String,
    pub looks: i32,
}

/// Strays to match again.
pub async fn strays(db: &mut PgConnection, limit: i64) -> Result<Vec<Stray>, StoreError> {
    let rows = sqlx::query!(
        "select connection_id, dedupe_key, reference, looks from stray_notifications
          where look_at <= clock_timestamp() order by look_at limit $1",
        limit,
    )
    .fetch_all(db)
    .await?;
    let strays = rows.into_iter().map(|row| Stray {
        connection: row.connection_id.into(),
        dedupe_key: row.dedupe_key,
        reference: row.reference,
        looks: row.looks,
    });
    Ok(strays.collect())
}

/// Matches a stray again: if its row is there by now, it becomes a fact about which the gateway is asked. Else it waits for
/// `pause`, or with `None` is left to a person.
pub async fn match_again(
    db: &mut PgConnection,
    stray: &Stray,
    pause: Option<chrono::TimeDelta>,
) -> Result<Option<ChargeId>, StoreError> {
    let attempt = AttemptId::from_reference(&stray.reference);
    let Some((charge, attempt)) = attempt_of(db, stray.connection, attempt, None).await? else {
        sqlx::query!(
            "update stray_notifications set looks = looks + 1, look_at = clock_timestamp() + $3::interval
              where connection_id = $1 and dedupe_key = $2",
            stray.connection.uuid(),
            stray.dedupe_key,
            pause.map(crate::sweep::interval) as _,
        )
        .execute(db)
        .await?;
        return Ok(None);
    };
    sqlx::query!(
        "with found as (delete from stray_notifications where connection_id = $1 and dedupe_key = $2 returning *)
         insert into notification_facts (connection_id, dedupe_key, merchant_id, mode, notification_id, charge_id, attempt_id,
                                         event, seen, received_at)
         select connection_id, dedupe_key, merchant_id, mode, notification_id, $3, $4, 'matched_late', seen, received_at from found
         on conflict (connection_id, dedupe_key) do nothing",
        stray.connection.uuid(),
        stray.dedupe_key,
        charge.uuid(),
        attempt.uuid(),
    )
    .execute(db)
    .await?;
    Ok(Some(charge))
}
