//! What nobody has looked at in time. Rows alone decide what is unfinished.

use chrono::TimeDelta;
use schemas::id::{AttemptId, ChargeId, MerchantId, RefundId};
use sqlx::{PgConnection, postgres::types::PgInterval};

use crate::{StoreError, deliveries::Due};

/// Charges whose `look_at` is overdue by `grace`, the most overdue first.
pub async fn charges(
    db: &mut PgConnection,
    grace: TimeDelta,
    limit: i64,
) -> Result<Vec<(MerchantId, ChargeId)>, StoreError> {
    let rows = sqlx::query!(
        "select id, merchant_id from charges where look_at < app_now() - $1::interval order by look_at limit $2",
        interval(grace),
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.merchant_id.into(), row.id.into()))
        .collect())
}

/// Charges with a fact that nobody has handled for `grace`, the longest waiting first.
pub async fn facts(
    db: &mut PgConnection,
    grace: TimeDelta,
    limit: i64,
) -> Result<Vec<(MerchantId, ChargeId)>, StoreError> {
    let rows = sqlx::query!(
        r#"select charge_id, merchant_id, min(received_at) as "since!" from notification_facts
          where handled_at is null and received_at < app_now() - $1::interval
          group by charge_id, merchant_id order by min(received_at) limit $2"#,
        interval(grace),
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.merchant_id.into(), row.charge_id.into()))
        .collect())
}

/// Attempts left to Reconcile whose `look_at` is overdue by `grace`.
pub async fn attempts(
    db: &mut PgConnection,
    grace: TimeDelta,
    limit: i64,
) -> Result<Vec<(MerchantId, ChargeId, AttemptId)>, StoreError> {
    let rows = sqlx::query!(
        "select id, merchant_id, charge_id from attempts
          where look_at < app_now() - $1::interval and state = 'abandoned' order by look_at limit $2",
        interval(grace),
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.merchant_id.into(), row.charge_id.into(), row.id.into()))
        .collect())
}

/// Deliveries whose `look_at` is overdue by `grace`.
pub async fn deliveries(
    db: &mut PgConnection,
    grace: TimeDelta,
    limit: i64,
) -> Result<Vec<Due>, StoreError> {
    let rows = sqlx::query!(
        r#"select d.id, d.merchant_id, d.endpoint_id, c.id as "charge?"
             from deliveries d left join charges c on c.id = d.subject_id
            where d.look_at < app_now() - $1::interval and d.state = 'pending' order by d.look_at limit $2"#,
        interval(grace),
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Due::again(row.id, row.merchant_id, row.endpoint_id, row.charge))
        .collect())
}

/// Refunds whose `look_at` is overdue by `grace`.
pub async fn refunds(
    db: &mut PgConnection,
    grace: TimeDelta,
    limit: i64,
) -> Result<Vec<(MerchantId, ChargeId, RefundId)>, StoreError> {
    let rows = sqlx::query!(
        "select id, merchant_id, charge_id from refunds
          where look_at < app_now() - $1::interval order by look_at limit $2",
        interval(grace),
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.merchant_id.into(), row.charge_id.into(), row.id.into()))
        .collect())
}

/// For how many seconds the most overdue row has waited for somebody to look: the metric that watches the watcher.
pub async fn overdue_s(db: &mut PgConnection) -> Result<f64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select greatest(0, extract(epoch from app_now() - least(
                      (select min(look_at) from charges where look_at is not null),
                      (select min(look_at) from attempts where look_at is not null),
                      (select min(look_at) from deliveries where look_at is not null),
                      (select min(next_check_at) from webhook_endpoints where next_check_at is not null),
                      (select min(look_at) from refunds where look_at is not null),
                      (select min(look_at) from notification_tokens where look_at is not null),
                      (select min(received_at) from notification_facts where handled_at is null))))::float8 as "age!""#
    )
    .fetch_one(db)
    .await?)
}

/// Makes sure that the partitions of this month and the next two exist.
pub async fn ensure_partitions(db: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(r#"select ensure_partitions(2) as "done: String""#)
        .fetch_one(db)
        .await?;
    Ok(())
}

/// A length of time as PostgreSQL takes it.
pub(crate) fn interval(length: TimeDelta) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: length.num_microseconds().unwrap_or(i64::MAX),
    }
}
