//! Notifications with a reference of our format that matches no row. They are matched again later.

use chrono::TimeDelta;
use schemas::id::{AttemptId, ChargeId, ConnectionId};
use sqlx::PgConnection;

use super::attempt_of;
use crate::{
    StoreError,
    payers::{self, erase},
    sweep::interval,
};

/// Unmatched notification that is due.
#[derive(Clone, Debug)]
pub struct UnmatchedNotification {
    pub connection: ConnectionId,
    pub dedupe_key: String,
    pub reference: String,
    pub checks: i32,
}

/// Returns the unmatched notifications that are due for another match.
pub async fn due(
    db: &mut PgConnection,
    limit: i64,
) -> Result<Vec<UnmatchedNotification>, StoreError> {
    let rows = sqlx::query!(
        "select connection_id, dedupe_key, reference, checks from unmatched_notifications
          where next_check_at <= app_now() order by next_check_at limit $1",
        limit,
    )
    .fetch_all(db)
    .await?;
    let unmatched = rows.into_iter().map(|row| UnmatchedNotification {
        connection: row.connection_id.into(),
        dedupe_key: row.dedupe_key,
        reference: row.reference,
        checks: row.checks,
    });
    Ok(unmatched.collect())
}

/// Matches a notification again. If its attempt exists now, it becomes an observation, and the gateway is read for its details. Otherwise
/// it is retried after `pause`; with `None` it needs manual review.
pub async fn match_again(
    db: &mut PgConnection,
    unmatched: &UnmatchedNotification,
    pause: Option<TimeDelta>,
) -> Result<Option<ChargeId>, StoreError> {
    let attempt = AttemptId::from_reference(&unmatched.reference);
    let Some((charge, attempt)) = attempt_of(&mut *db, unmatched.connection, attempt, None).await?
    else {
        sqlx::query!(
            "update unmatched_notifications set checks = checks + 1, next_check_at = app_now() + $3::interval
              where connection_id = $1 and dedupe_key = $2 and checks = $4",
            unmatched.connection.uuid(),
            unmatched.dedupe_key,
            pause.map(interval) as _,
            unmatched.checks,
        )
        .execute(db)
        .await?;
        return Ok(None);
    };
    let is_known = payers::hold(db, charge).await?;
    let body = sqlx::query_scalar!(
        "with found as (delete from unmatched_notifications where connection_id = $1 and dedupe_key = $2 returning *),
              matched as (
                  insert into observations (connection_id, dedupe_key, merchant_id, mode, notification_id, charge_id,
                                                  attempt_id, event, received_count, received_at)
                  select connection_id, dedupe_key, merchant_id, mode, notification_id, $3, $4, 'matched_late', received_count, received_at
                    from found
                  on conflict (connection_id, dedupe_key) do nothing)
         select notification_id from found",
        unmatched.connection.uuid(),
        unmatched.dedupe_key,
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
