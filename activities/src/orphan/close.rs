//! Writes of the progress and the result of resolving an orphan.

use std::time::Duration;

use gateways::{GatewayCharge, GatewayError};
use schemas::{
    attempt::{AttemptState, ErrorClass},
    charge::ChargeStatus,
    retry::jitter,
};
use store::{
    PgConnection, StoreError,
    attempts::{AttemptOutcome, AttemptRow},
    charges::{self, LockedCharge},
};

use super::{Orphan, leased};
use crate::retry::orphan::{KEEP, SLOW};
use crate::{
    Activities, PollStep, Progress, alerts,
    charge::{Applied, apply},
    delta, until,
};

impl Activities {
    /// Writes the result of voiding. A payment that arrived meanwhile takes precedence.
    pub(super) async fn conclude_void(
        &self,
        orphan: &Orphan,
        ended: Vec<Result<GatewayCharge, GatewayError>>,
        all: bool,
    ) -> Result<Progress<PollStep>, StoreError> {
        let mut tx = self.store.begin().await?;
        let Some((mut charge, row)) = leased(&mut tx, &self.store, orphan).await? else {
            return Ok(Progress::unchanged(PollStep::NOW));
        };
        let before = charge.status;
        let mut applied = Applied::default();
        let mut failed = None;
        for outcome in ended {
            match outcome {
                Ok(object) if !object.payments.is_empty() => {
                    applied.extend(apply(&mut tx, &mut charge, row.id, &object).await?);
                }
                Ok(object) if object.status.is_payable() => failed = Some(still_payable()),
                Ok(_) => {
                    tracing::info!(attempt = %row.id, gateway = %row.gateway, "voided an orphan");
                }
                Err(error) => failed = Some(error),
            }
        }
        let progress = match failed {
            Some(error) => {
                let about = (&row, Some(error));
                self.search_on(&mut tx, &mut charge, about, &mut applied)
                    .await?
            }
            None if all => {
                close_orphan(&mut charge, orphan, AttemptState::Voided);
                Progress::changed(PollStep::Done)
            }
            None => {
                charge.check_attempt(row.id, Some(charge.now), true);
                Progress::changed(PollStep::NOW)
            }
        };
        if let Some(row) = charge.attempt_mut(orphan.attempt) {
            row.end_lease();
        }
        applied
            .due
            .extend(charges::save(&mut tx, &mut charge).await?);
        tx.commit().await?;
        let waits = charge.status == ChargeStatus::Processing && progress.step == PollStep::Done;
        applied.start(self, &charge);
        if charge.status != before || waits {
            self.wake_charge(charge.merchant, charge.id).await;
        }
        Ok(progress)
    }

    /// Schedules the next search after nothing was found or the gateway did not answer. After a time limit the merchant is alerted.
    pub(super) async fn search_on(
        &self,
        db: &mut PgConnection,
        charge: &mut LockedCharge,
        (row, error): (&AttemptRow, Option<GatewayError>),
        applied: &mut Applied,
    ) -> Result<Progress<PollStep>, StoreError> {
        if let Some(error) = &error {
            tracing::warn!(attempt = %row.id, gateway = %row.gateway, %error, "could not resolve an orphan yet");
        }
        let age = until(charge.now, row.deadline_at);
        let patience = match error {
            None => self.timing.absent_after,
            Some(_) => self.timing.review_after,
        };
        if age < patience {
            return Ok(self.again(charge, row, error.is_none()));
        }
        if row.alerted_at.is_none() {
            let now = charge.now;
            if let Some(row) = charge.attempt_mut(row.id) {
                row.alerted_at = Some(now);
            }
            let message = error.map_or_else(
                || "an attempt of unknown outcome was never found at the gateway: check that nothing is payable there".to_owned(),
                |error| format!("the gateway does not answer what became of an attempt: {}", error.code),
            );
            let due = alerts::raise(db, row.connection, "attempt_unresolved", &message).await?;
            applied.due.extend(due);
            if charge.status == ChargeStatus::Processing {
                charge.transition(ChargeStatus::NeedsReview, None)?;
                charge.set_next_check(None, 0);
            }
        }
        if age >= KEEP {
            charge.check_attempt(row.id, None, false);
            return Ok(Progress::changed(PollStep::Done));
        }
        let pause = SLOW + jitter(row.id.uuid(), SLOW / 8);
        charge.check_attempt(row.id, Some(charge.now + delta(pause)), false);
        Ok(Progress::changed(PollStep::wait(pause)))
    }

    pub(super) fn again(
        &self,
        charge: &mut LockedCharge,
        row: &AttemptRow,
        searched: bool,
    ) -> Progress<PollStep> {
        let checks = usize::try_from(row.checks).unwrap_or(usize::MAX);
        let schedule = &self.timing.orphan_searches;
        let last = schedule.last().copied().unwrap_or(Duration::from_mins(1));
        let pause = schedule.get(checks).copied().unwrap_or(last);
        let pause = pause + jitter(row.id.uuid(), pause / 8);
        charge.check_attempt(row.id, Some(charge.now + delta(pause)), searched);
        Progress::changed(PollStep::wait(pause))
    }
}

/// Closes an orphan of which nothing unwanted is left. Only an abandoned attempt moves to `state`; a presented or paid one stays.
pub(super) fn close_orphan(charge: &mut LockedCharge, orphan: &Orphan, state: AttemptState) {
    let id = orphan.attempt;
    let now = charge.attempt(id);
    if now.is_some_and(|row| row.state == AttemptState::Abandoned) {
        charge.move_attempt(id, &AttemptOutcome::of(state));
    } else {
        charge.check_attempt(id, None, true);
    }
}

fn still_payable() -> GatewayError {
    GatewayError::new(
        ErrorClass::Unknown,
        "still_payable",
        "the gateway accepted the cancellation and still shows the charge as payable",
    )
}
