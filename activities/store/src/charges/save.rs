//! Writes what changed of a locked charge: one statement per changed row, one for all events with their deliveries and messages.

use chrono::{DateTime, Utc};
use schemas::{
    attempt::AttemptState,
    charge::{ChargeFailure, ChargeStatus},
};
use sqlx::PgConnection;

use super::{LockedCharge, Pending};
use crate::{
    StoreError,
    attempts::{self, AttemptRow},
    deliveries::PendingDelivery,
    error::to_json,
    events, outbox,
};

/// Columns of a charge that rules change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChargeColumns {
    status: ChargeStatus,
    amounts: [i64; 4],
    failure: Option<ChargeFailure>,
    event_sequence: i64,
    next_check_at: Option<DateTime<Utc>>,
    checks: i32,
    times: [Option<DateTime<Utc>>; 4],
}

/// Writes what changed. Returns the deliveries to start after the commit.
pub async fn save(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
) -> Result<Vec<PendingDelivery>, StoreError> {
    save_attempts(db, charge).await?;
    if charge.pending.columns.as_ref() != Some(&charge.columns()) {
        update(db, charge).await?;
    }
    let (events, messages) = (&charge.pending.events, &charge.pending.messages);
    let due = if events.is_empty() {
        outbox::insert_all(db, messages).await?;
        Vec::new()
    } else {
        events::append_all(db, events, messages).await?
    };
    charge.mark_saved();
    Ok(due)
}

/// Writes only what changed of the attempts: the breaker counts them in the same transaction.
pub async fn save_attempts(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
) -> Result<(), StoreError> {
    let changed = |row: &&AttemptRow| {
        let before = charge.pending.attempts.iter().find(|old| old.id == row.id);
        before.is_some_and(|before| before != *row)
    };
    let mut changed: Vec<&AttemptRow> = charge.attempts.iter().filter(changed).collect();
    // only one attempt may be presented at any time: the one that becomes presented is written last
    changed.sort_by_key(|row| row.state == AttemptState::Presented);
    for row in changed {
        let before = charge.pending.attempts.iter().find(|old| old.id == row.id);
        if let Some(before) = before {
            attempts::update(db, before, row).await?;
        }
    }
    for new in &charge.pending.opened {
        attempts::insert(db, new).await?;
        let opened = charge.attempts.iter().find(|row| row.id == new.id);
        let inserted = new.row();
        if let Some(row) = opened.filter(|row| **row != inserted) {
            attempts::update(db, &inserted, row).await?;
        }
    }
    charge.pending.opened.clear();
    charge.pending.attempts.clone_from(&charge.attempts);
    Ok(())
}

/// Writes the charge's row, and notifies callers that wait for its status.
async fn update(db: &mut PgConnection, charge: &LockedCharge) -> Result<(), StoreError> {
    let failure = charge.failure.as_ref();
    let before = charge.pending.columns.as_ref();
    let failure = failure.filter(|_| before.is_none_or(|b| b.failure != charge.failure));
    sqlx::query!(
        r#"with saved as (
               update charges
                  set status = $2, amount_paid = $3, amount_refunded = $4, amount_refund_pending = $5, amount_disputed = $6,
                      failure = coalesce($7, failure), event_sequence = $8, next_check_at = $9, checks = $10, paid_at = $11,
                      expired_at = $12, canceled_at = $13, failed_at = $14
                where id = $1)
           select pg_notify('charges', $15) as "sent: String" where $16"#,
        charge.id.uuid(),
        charge.status.as_ref(),
        charge.amount_paid,
        charge.amount_refunded,
        charge.amount_refund_pending,
        charge.amount_disputed,
        failure.map(to_json),
        charge.event_sequence,
        charge.next_check_at,
        charge.checks,
        charge.paid_at,
        charge.expired_at,
        charge.canceled_at,
        charge.failed_at,
        format!("{} {}", charge.id.uuid(), charge.status.as_ref()),
        charge.pending.is_awaited,
    )
    .fetch_optional(db)
    .await?;
    Ok(())
}

impl LockedCharge {
    fn columns(&self) -> ChargeColumns {
        ChargeColumns {
            status: self.status,
            amounts: [
                self.amount_paid,
                self.amount_refunded,
                self.amount_refund_pending,
                self.amount_disputed,
            ],
            failure: self.failure.clone(),
            event_sequence: self.event_sequence,
            next_check_at: self.next_check_at,
            checks: self.checks,
            times: [
                self.paid_at,
                self.expired_at,
                self.canceled_at,
                self.failed_at,
            ],
        }
    }

    /// Makes the present state the saved one.
    pub(super) fn mark_saved(&mut self) {
        self.pending = Pending {
            columns: Some(self.columns()),
            attempts: self.attempts.clone(),
            ..Pending::default()
        };
    }
}
