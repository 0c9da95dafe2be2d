//! Queries of overdue rows, one per kind. All have the same form: they select due rows, exclude those with a mark for the same due time
//! that has not expired, and number the rows within each merchant.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Overdue, SweepPage, SweepTarget, interval};
use crate::{
    StoreError, deliveries::PendingDelivery, notification_tokens::PendingToken,
    notifications::unmatched::UnmatchedNotification, vault,
};

pub(super) async fn charges(
    db: &mut PgConnection,
    page: SweepPage,
) -> Result<Vec<Overdue>, StoreError> {
    let rows = sqlx::query!(
        r#"select id, merchant_id, due_at as "due_at!", tries as "tries!" from (
               select c.id, c.merchant_id, c.next_check_at as due_at, coalesce(m.tries, 0) as tries,
                      row_number() over (partition by c.merchant_id order by c.next_check_at, c.id) as turn
                 from charges c
                 left join sweep_marks m on m.kind = 'charge' and m.key = c.id::text and m.due_at = c.next_check_at
                where c.next_check_at < app_now() - $1::interval
                  and (m.next_check_at is null or m.next_check_at <= app_now())
                  and coalesce(m.tries, 0) between $2 and $3) overdue
            order by turn, due_at, id limit $4"#,
        interval(page.grace),
        page.tries.0,
        page.tries.1,
        page.limit,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter().map(|row| Overdue {
        key: row.id.to_string(),
        seed: row.id,
        merchant: row.merchant_id.into(),
        due_at: row.due_at,
        tries: row.tries,
        target: SweepTarget::Charge(row.id.into()),
    });
    Ok(rows.collect())
}

/// Returns the charges that have unhandled observations. A newer fact about the same charge changes the due time.
pub(super) async fn observations(
    db: &mut PgConnection,
    page: SweepPage,
) -> Result<Vec<Overdue>, StoreError> {
    let rows = sqlx::query!(
        r#"select charge_id, merchant_id, due_at as "due_at!", tries as "tries!" from (
               select f.charge_id, f.merchant_id, f.due_at, coalesce(m.tries, 0) as tries,
                      row_number() over (partition by f.merchant_id order by f.due_at, f.charge_id) as turn
                 from (select charge_id, merchant_id, max(received_at) as due_at from observations
                        where handled_at is null
                        group by charge_id, merchant_id
                       having min(received_at) < app_now() - $1::interval) f
                 left join sweep_marks m on m.kind = 'observation' and m.key = f.charge_id::text and m.due_at = f.due_at
                where (m.next_check_at is null or m.next_check_at <= app_now())
                  and coalesce(m.tries, 0) between $2 and $3) overdue
            order by turn, due_at, charge_id limit $4"#,
        interval(page.grace),
        page.tries.0,
        page.tries.1,
        page.limit,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter().map(|row| Overdue {
        key: row.charge_id.to_string(),
        seed: row.charge_id,
        merchant: row.merchant_id.into(),
        due_at: row.due_at,
        tries: row.tries,
        target: SweepTarget::Charge(row.charge_id.into()),
    });
    Ok(rows.collect())
}

/// Returns attempts in any state. An open one whose charge is `processing` is the charge's next step; all others are orphans.
pub(super) async fn attempts(
    db: &mut PgConnection,
    page: SweepPage,
) -> Result<Vec<Overdue>, StoreError> {
    let rows = sqlx::query!(
        r#"select id, merchant_id, charge_id, of_charge as "of_charge!", due_at as "due_at!", tries as "tries!" from (
               select a.id, a.merchant_id, a.charge_id, a.next_check_at as due_at, coalesce(m.tries, 0) as tries,
                      a.state = 'open' and c.status = 'processing' as of_charge,
                      row_number() over (partition by a.merchant_id order by a.next_check_at, a.id) as turn
                 from attempts a
                 join charges c on c.id = a.charge_id and c.merchant_id = a.merchant_id and c.mode = a.mode
                 left join sweep_marks m on m.kind = 'attempt' and m.key = a.id::text and m.due_at = a.next_check_at
                where a.next_check_at < app_now() - $1::interval
                  and (m.next_check_at is null or m.next_check_at <= app_now())
                  and coalesce(m.tries, 0) between $2 and $3) overdue
            order by turn, due_at, id limit $4"#,
        interval(page.grace),
        page.tries.0,
        page.tries.1,
        page.limit,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter().map(|row| Overdue {
        key: row.id.to_string(),
        seed: row.id,
        merchant: row.merchant_id.into(),
        due_at: row.due_at,
        tries: row.tries,
        target: if row.of_charge {
            SweepTarget::Charge(row.charge_id.into())
        } else {
            SweepTarget::Orphan(row.charge_id.into(), row.id.into())
        },
    });
    Ok(rows.collect())
}

pub(super) async fn refunds(
    db: &mut PgConnection,
    page: SweepPage,
) -> Result<Vec<Overdue>, StoreError> {
    let rows = sqlx::query!(
        r#"select id, merchant_id, charge_id, due_at as "due_at!", tries as "tries!" from (
               select r.id, r.merchant_id, r.charge_id, r.next_check_at as due_at, coalesce(m.tries, 0) as tries,
                      row_number() over (partition by r.merchant_id order by r.next_check_at, r.id) as turn
                 from refunds r
                 left join sweep_marks m on m.kind = 'refund' and m.key = r.id::text and m.due_at = r.next_check_at
                where r.next_check_at < app_now() - $1::interval
                  and (m.next_check_at is null or m.next_check_at <= app_now())
                  and coalesce(m.tries, 0) between $2 and $3) overdue
            order by turn, due_at, id limit $4"#,
        interval(page.grace),
        page.tries.0,
        page.tries.1,
        page.limit,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter().map(|row| Overdue {
        key: row.id.to_string(),
        seed: row.id,
        merchant: row.merchant_id.into(),
        due_at: row.due_at,
        tries: row.tries,
        target: SweepTarget::Refund(row.charge_id.into(), row.id.into()),
    });
    Ok(rows.collect())
}

pub(super) async fn deliveries(
    db: &mut PgConnection,
    page: SweepPage,
) -> Result<Vec<Overdue>, StoreError> {
    let rows = sqlx::query!(
        r#"select q.id, q.merchant_id, q.endpoint_id, q.due_at as "due_at!", q.tries as "tries!",
                  c.id as "charge?", coalesce(w.slow_until > app_now(), false) as "slow!"
             from (
               select d.id, d.merchant_id, d.mode, d.endpoint_id, d.subject_id, d.next_check_at as due_at,
                      coalesce(m.tries, 0) as tries,
                      row_number() over (partition by d.merchant_id order by d.next_check_at, d.id) as turn
                 from deliveries d
                 left join sweep_marks m on m.kind = 'delivery' and m.key = d.id::text and m.due_at = d.next_check_at
                where d.next_check_at < app_now() - $1::interval and d.state = 'pending'
                  and (m.next_check_at is null or m.next_check_at <= app_now())
                  and coalesce(m.tries, 0) between $2 and $3
                order by turn, d.next_check_at, d.id limit $4) q
             join webhook_endpoints w on w.id = q.endpoint_id and w.merchant_id = q.merchant_id and w.mode = q.mode
             left join charges c on c.id = q.subject_id and c.merchant_id = q.merchant_id and c.mode = q.mode
            order by q.turn, q.due_at, q.id"#,
        interval(page.grace),
        page.tries.0,
        page.tries.1,
        page.limit,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter().map(|row| Overdue {
        key: row.id.to_string(),
        seed: row.id,
        merchant: row.merchant_id.into(),
        due_at: row.due_at,
        tries: row.tries,
        target: SweepTarget::Delivery(PendingDelivery {
            delivery: row.id.into(),
            merchant: row.merchant_id.into(),
            endpoint: row.endpoint_id.into(),
            charge: row.charge.map(Into::into),
            slow: row.slow,
            after_ms: 0,
        }),
    });
    Ok(rows.collect())
}

pub(super) async fn endpoints(
    db: &mut PgConnection,
    page: SweepPage,
) -> Result<Vec<Overdue>, StoreError> {
    let rows = sqlx::query!(
        r#"select id, merchant_id, due_at as "due_at!", tries as "tries!" from (
               select w.id, w.merchant_id, w.next_check_at as due_at, coalesce(m.tries, 0) as tries,
                      row_number() over (partition by w.merchant_id order by w.next_check_at, w.id) as turn
                 from webhook_endpoints w
                 left join sweep_marks m on m.kind = 'endpoint' and m.key = w.id::text and m.due_at = w.next_check_at
                where w.next_check_at < app_now() - $1::interval
                  and (m.next_check_at is null or m.next_check_at <= app_now())
                  and coalesce(m.tries, 0) between $2 and $3) overdue
            order by turn, due_at, id limit $4"#,
        interval(page.grace),
        page.tries.0,
        page.tries.1,
        page.limit,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter().map(|row| Overdue {
        key: row.id.to_string(),
        seed: row.id,
        merchant: row.merchant_id.into(),
        due_at: row.due_at,
        tries: row.tries,
        target: SweepTarget::Endpoint(row.id.into()),
    });
    Ok(rows.collect())
}

pub(super) async fn tokens(
    db: &mut PgConnection,
    page: SweepPage,
) -> Result<Vec<Overdue>, StoreError> {
    let rows = sqlx::query!(
        r#"select connection_id, token, merchant_id, checks, received_count, due_at as "due_at!", tries as "tries!" from (
               select t.connection_id, t.token, t.merchant_id, t.checks, t.received_count, t.next_check_at as due_at,
                      coalesce(m.tries, 0) as tries,
                      row_number() over (partition by t.merchant_id order by t.next_check_at, t.token) as turn
                 from notification_tokens t
                 left join sweep_marks m
                   on m.kind = 'token' and m.key = t.connection_id::text || ' ' || t.token and m.due_at = t.next_check_at
                where t.next_check_at <= app_now() - $1::interval
                  and (m.next_check_at is null or m.next_check_at <= app_now())
                  and coalesce(m.tries, 0) between $2 and $3) overdue
            order by turn, due_at, connection_id, token limit $4"#,
        interval(page.grace),
        page.tries.0,
        page.tries.1,
        page.limit,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter().map(|row| Overdue {
        seed: seed(&row.token),
        key: format!("{} {}", row.connection_id, row.token),
        merchant: row.merchant_id.into(),
        due_at: row.due_at,
        tries: row.tries,
        target: SweepTarget::Token(PendingToken {
            connection: row.connection_id.into(),
            token: row.token,
            checks: row.checks,
            received_count: row.received_count,
        }),
    });
    Ok(rows.collect())
}

pub(super) async fn unmatched(
    db: &mut PgConnection,
    page: SweepPage,
) -> Result<Vec<Overdue>, StoreError> {
    let rows = sqlx::query!(
        r#"select connection_id, dedupe_key, reference, merchant_id, checks, due_at as "due_at!", tries as "tries!" from (
               select s.connection_id, s.dedupe_key, s.reference, s.merchant_id, s.checks, s.next_check_at as due_at,
                      coalesce(m.tries, 0) as tries,
                      row_number() over (partition by s.merchant_id order by s.next_check_at, s.dedupe_key) as turn
                 from unmatched_notifications s
                 left join sweep_marks m
                   on m.kind = 'unmatched' and m.key = s.connection_id::text || ' ' || s.dedupe_key and m.due_at = s.next_check_at
                where s.next_check_at <= app_now() - $1::interval
                  and (m.next_check_at is null or m.next_check_at <= app_now())
                  and coalesce(m.tries, 0) between $2 and $3) overdue
            order by turn, due_at, connection_id, dedupe_key limit $4"#,
        interval(page.grace),
        page.tries.0,
        page.tries.1,
        page.limit,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter().map(|row| Overdue {
        seed: seed(&row.dedupe_key),
        key: format!("{} {}", row.connection_id, row.dedupe_key),
        merchant: row.merchant_id.into(),
        due_at: row.due_at,
        tries: row.tries,
        target: SweepTarget::Unmatched(UnmatchedNotification {
            connection: row.connection_id.into(),
            dedupe_key: row.dedupe_key,
            reference: row.reference,
            checks: row.checks,
        }),
    });
    Ok(rows.collect())
}

/// Returns a seed for a row without an id, so that rows of one connection are not retried together.
fn seed(key: &str) -> Uuid {
    let digest = vault::fingerprint(key);
    let start = digest.first_chunk().copied();
    Uuid::from_bytes(start.unwrap_or_default())
}
