//! Overdue rows of every kind. Only the rows determine what is unfinished.

use chrono::{DateTime, TimeDelta, Utc};
use schemas::id::{AttemptId, ChargeId, EndpointId, MerchantId, RefundId};
use sqlx::{PgConnection, postgres::types::PgInterval};
use strum::{AsRefStr, EnumIter};
use uuid::Uuid;

use crate::{
    StoreError, deliveries::PendingDelivery, notification_tokens::PendingToken,
    notifications::unmatched::UnmatchedNotification,
};

mod overdue;

/// Kind of row that may be overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, AsRefStr, EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum SweepKind {
    Charge,
    /// Fact from a gateway that no check of the charge has handled.
    Observation,
    Attempt,
    Refund,
    Delivery,
    /// Webhook endpoint that must be probed, drained or emptied.
    Endpoint,
    Token,
    Unmatched,
}

/// Overdue row.
#[derive(Clone, Debug)]
pub struct Overdue {
    /// Unique key among the rows of its kind.
    pub key: String,
    /// Seed for jitter: an id of the row, or a digest of its key.
    pub seed: Uuid,
    pub merchant: MerchantId,
    pub due_at: DateTime<Utc>,
    /// Number of times that the sweep has tried to move it.
    pub tries: i32,
    pub target: SweepTarget,
}

/// Object to wake or process so that the row moves.
#[derive(Clone, Debug)]
pub enum SweepTarget {
    Charge(ChargeId),
    /// Attempt that is no longer part of its charge's own steps.
    Orphan(ChargeId, AttemptId),
    Refund(ChargeId, RefundId),
    Delivery(PendingDelivery),
    Endpoint(EndpointId),
    Token(PendingToken),
    Unmatched(UnmatchedNotification),
}

/// Filter of overdue rows.
#[derive(Clone, Copy, Debug)]
pub struct SweepPage {
    /// Minimum time that they are overdue.
    pub grace: TimeDelta,
    /// Minimum and maximum number of tries by the sweep.
    pub tries: (i32, i32),
    pub limit: i64,
}

/// Result of the sweep for one row.
#[derive(Clone, Debug)]
pub struct SweepMark {
    pub key: String,
    pub merchant: MerchantId,
    pub due_at: DateTime<Utc>,
    pub tries: i32,
    /// Time until the sweep retries the row, if it does not move.
    pub pause: TimeDelta,
    pub reason: String,
}

/// Returns a page of overdue rows that are not paused by a mark: every merchant's most overdue row first, then every merchant's second, and
/// so on.
pub async fn page(
    db: &mut PgConnection,
    kind: SweepKind,
    page: SweepPage,
) -> Result<Vec<Overdue>, StoreError> {
    match kind {
        SweepKind::Charge => overdue::charges(db, page).await,
        SweepKind::Observation => overdue::observations(db, page).await,
        SweepKind::Attempt => overdue::attempts(db, page).await,
        SweepKind::Refund => overdue::refunds(db, page).await,
        SweepKind::Delivery => overdue::deliveries(db, page).await,
        SweepKind::Endpoint => overdue::endpoints(db, page).await,
        SweepKind::Token => overdue::tokens(db, page).await,
        SweepKind::Unmatched => overdue::unmatched(db, page).await,
    }
}

/// Writes the sweep's results for rows of one kind.
pub async fn mark(
    db: &mut PgConnection,
    kind: SweepKind,
    marks: &[SweepMark],
) -> Result<(), StoreError> {
    let keys: Vec<_> = marks.iter().map(|mark| mark.key.clone()).collect();
    let merchants: Vec<_> = marks.iter().map(|mark| mark.merchant.uuid()).collect();
    let due: Vec<_> = marks.iter().map(|mark| mark.due_at).collect();
    let tries: Vec<_> = marks.iter().map(|mark| mark.tries).collect();
    let pauses: Vec<_> = marks.iter().map(|mark| interval(mark.pause)).collect();
    let reasons: Vec<_> = marks.iter().map(|mark| mark.reason.clone()).collect();
    sqlx::query!(
        "insert into sweep_marks (kind, key, merchant_id, due_at, tries, next_check_at, reason)
         select $1, key, merchant_id, due_at, tries, app_now() + pause, reason
           from unnest($2::text[], $3::uuid[], $4::timestamptz[], $5::integer[], $6::interval[], $7::text[])
             as marks (key, merchant_id, due_at, tries, pause, reason)
         on conflict (kind, key) do update
            set due_at = excluded.due_at, tries = excluded.tries, next_check_at = excluded.next_check_at,
                reason = excluded.reason",
        kind.as_ref(),
        &keys,
        &merchants,
        &due,
        &tries,
        &pauses,
        &reasons,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes the marks of rows that have moved. The sweep retries other rows long before `age` has passed.
pub async fn forget_marks(db: &mut PgConnection, age: TimeDelta) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from sweep_marks where next_check_at < app_now() - $1::interval",
        interval(age)
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Returns the age in seconds of the most overdue row of each kind. It is the metric of the sweep.
pub async fn overdue_s(db: &mut PgConnection) -> Result<Vec<(SweepKind, f64)>, StoreError> {
    let oldest = sqlx::query!(
        r#"select app_now() as "now!",
                  (select min(next_check_at) from charges where next_check_at is not null) as charge,
                  (select f.received_at from observations f join charges c on c.id = f.charge_id
                    where f.handled_at is null and (c.next_check_at is null or c.next_check_at < app_now())
                    order by f.received_at limit 1) as observation,
                  (select min(next_check_at) from attempts where next_check_at is not null) as attempt,
                  (select min(next_check_at) from refunds where next_check_at is not null) as refund,
                  (select min(next_check_at) from deliveries where next_check_at is not null) as delivery,
                  (select min(next_check_at) from webhook_endpoints where next_check_at is not null) as endpoint,
                  (select min(next_check_at) from notification_tokens where next_check_at is not null) as token,
                  (select min(next_check_at) from unmatched_notifications where next_check_at is not null) as unmatched"#
    )
    .fetch_one(db)
    .await?;
    let ages = [
        (SweepKind::Charge, oldest.charge),
        (SweepKind::Observation, oldest.observation),
        (SweepKind::Attempt, oldest.attempt),
        (SweepKind::Refund, oldest.refund),
        (SweepKind::Delivery, oldest.delivery),
        (SweepKind::Endpoint, oldest.endpoint),
        (SweepKind::Token, oldest.token),
        (SweepKind::Unmatched, oldest.unmatched),
    ];
    let age = |at: Option<DateTime<Utc>>| {
        at.map_or(0.0, |at| (oldest.now - at).as_seconds_f64().max(0.0))
    };
    Ok(ages.map(|(kind, at)| (kind, age(at))).into())
}

/// Converts a duration to PostgreSQL's type.
pub(crate) fn interval(length: TimeDelta) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: length.num_microseconds().unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests;
