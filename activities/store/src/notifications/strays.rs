//! Notifications about references of our shape without a row, matched again later.

use chrono::TimeDelta;
use schemas::id::{AttemptId, ChargeId, ConnectionId};
use sqlx::PgConnection;

use super::attempt_of;
use crate::{
    StoreError,
    payers::{self, erase},
    sweep::interval,
};

/// A stray whose turn it is.
#[derive(Clone, Debug)]
pub struct Stray {
    pub connection: ConnectionId,
    pub dedupe_key: String,
    pub reference: String,
    pub looks: i32,
}

/// Strays to match again.
pub async fn due(db: &mut PgConnection, limit: i64) -> Result<Vec<Stray>, StoreError> {
    let rows = sqlx::query!(
        "select connection_id, dedupe_key, reference, looks from stray_notifications
          where look_at <= app_now() order by look_at limit $1",
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
    pause: Option<TimeDelta>,
) -> Result<Option<ChargeId>, StoreError> {
    let attempt = AttemptId::from_reference(&stray.reference);
    let Some((charge, attempt)) = attempt_of(&mut *db, stray.connection, attempt, None).await?
    else {
        sqlx::query!(
            "update stray_notifications set looks = looks + 1, look_at = app_now() + $3::interval
              where connection_id = $1 and dedupe_key = $2 and looks = $4",
            stray.connection.uuid(),
            stray.dedupe_key,
            pause.map(interval) as _,
            stray.looks,
        )
        .execute(db)
        .await?;
        return Ok(None);
    };
    let is_known = payers::hold(db, charge).await?;
    let body = sqlx::query_scalar!(
        "with found as (delete from stray_notifications where connection_id = $1 and dedupe_key = $2 returning *),
              matched as (
                  insert into notification_facts (connection_id, dedupe_key, merchant_id, mode, notification_id, charge_id,
                                                  attempt_id, event, seen, received_at)
                  select connection_id, dedupe_key, merchant_id, mode, notification_id, $3, $4, 'matched_late', seen, received_at
                    from found
                  on conflict (connection_id, dedupe_key) do nothing)
         select notification_id from found",
        stray.connection.uuid(),
        stray.dedupe_key,
        charge.uuid(),
        attempt.uuid(),
    )
    .fetch_optional(&mut *db)
    .await?;
    if let (false, Some(Some(body))) = (is_known, body) {
        erase::delete_body(db, body).await?;
    }
    Ok(Some(charge))
}
