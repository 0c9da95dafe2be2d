//! Claims of connections for the check of their registration at the gateway.

use chrono::TimeDelta;
use schemas::id::ConnectionId;
use sqlx::PgConnection;

use crate::{StoreError, sweep::interval};

/// Claimed connection.
#[derive(Clone, Copy, Debug)]
pub struct DueCheck {
    pub id: ConnectionId,
    pub replace_address: bool,
    /// True if our address must be registered again, independent of the check's result.
    pub must_register: bool,
}

/// Claims a connection that was not checked for `every`, or whose address must be registered again. The next check is `early` sooner than
/// `every`, so that checks spread. A registration that fails is retried after `again`.
pub async fn claim_check(
    db: &mut PgConnection,
    (every, early, again): (TimeDelta, TimeDelta, TimeDelta),
) -> Result<Option<DueCheck>, StoreError> {
    let row = sqlx::query!(
        r#"update gateway_connections c set checked_at = app_now() - $2::interval,
                  register_at = case when c.register_at is not null then app_now() + $3::interval end
             from (select id, register_at <= app_now() as must_register from gateway_connections
                    where status <> 'archived'
                      and (coalesce(checked_at, created_at) < app_now() - $1::interval or register_at <= app_now())
                    order by register_at, coalesce(checked_at, created_at) limit 1 for update skip locked) due
            where c.id = due.id
           returning c.id, c.replace_address, coalesce(due.must_register, false) as "must_register!""#,
        interval(every),
        interval(early),
        interval(again),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| DueCheck {
        id: row.id.into(),
        replace_address: row.replace_address,
        must_register: row.must_register,
    }))
}
