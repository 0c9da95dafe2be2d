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
    attempts::{self, AttemptOutcome, AttemptRow},
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
        let Some((mut charge, row)) = leased(&mut tx, orphan).await? else {
            return Ok(Progress::unchanged(PollStep::NOW));
        };
        let before = charge.status;
        let mut applied = Applied::default();
        let mut failed = None;
        for outcome in ended {
            match outcome {
                Ok(object) if !object.payments.is_empty() => {
                    applied.extend(apply(self, &mut tx, &mut charge, row.id, &object).await?);
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
                self.close_orphan(&mut tx, &charge, orphan, AttemptState::Voided)
                    .await?;
                Progress::changed(PollStep::Done)
            }
            None => {
                attempts::set_next_check(&mut tx, row.id, Some(charge.now), true).await?;
                Progress::changed(PollStep::NOW)
            }
        };
        attempts::release(&mut tx, orphan.attempt, orphan.lease_owner).await?;
        tx.commit().await?;
        let waits = charge.status == ChargeStatus::Processing && progress.step == PollStep::Done;
        applied.start(self, &charge);
        if charge.status != before || waits {
            self.wake_charge(charge.merchant, charge.id).await;
        }
        Ok(progress)
    }

    /// Closes an orphan of which nothing unwanted is left. Only an abandoned attempt moves to `state`; a presented or paid one stays.
    pub(super) async fn close_orphan(
        &self,
        db: &mut PgConnection,
        charge: &LockedCharge,
        orphan: &Orphan,
        state: AttemptState,
    ) -> Result<(), StoreError> {
        let rows = attempts::of_charge(db, charge.id).await?;
        let now = rows.iter().find(|row| row.id == orphan.attempt);
        if now.is_some_and(|row| row.state == AttemptState::Abandoned) {
            attempts::transition(
                db,
                orphan.attempt,
                AttemptState::Abandoned,
                &AttemptOutcome::of(state),
            )
            .await?;
        } else {
            attempts::set_next_check(db, orphan.attempt, None, true).await?;
        }
        Ok(())
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
            return self.again(db, charge, row, error.is_none()).await;
        }
        if row.alerted_at.is_none() {
            attempts::set_alerted(db, row.id).await?;
            let message = error.map_or_else(
                || "an attempt of unknown outcome was never found at the gateway: check that nothing is payable there".to_owned(),
                |error| format!("the gateway does not answer what became of an attempt: {}", error.code),
            );
            let due = alerts::raise(db, row.connection, "attempt_unresolved", &message).await?;
            applied.due.extend(due);
            if charge.status == ChargeStatus::Processing {
                let review = ChargeStatus::NeedsReview;
                let due = charges::transition(db, &self.store, charge, review, None).await?;
                charges::set_next_check(db, charge.id, None, 0).await?;
                applied.due.extend(due.unwrap_or_default());
            }
        }
        if age >= KEEP {
            attempts::set_next_check(db, row.id, None, false).await?;
            return Ok(Progress::changed(PollStep::Done));
        }
        let pause = SLOW + jitter(row.id.uuid(), SLOW / 8);
        attempts::set_next_check(db, row.id, Some(charge.now + delta(pause)), false).await?;
        Ok(Progress::changed(PollStep::wait(pause)))
    }

    pub(super) async fn again(
        &self,
        db: &mut PgConnection,
        charge: &LockedCharge,
        row: &AttemptRow,
        searched: bool,
    ) -> Result<Progress<PollStep>, StoreError> {
        let checks = usize::try_from(row.checks).unwrap_or(usize::MAX);
        let schedule = &self.timing.orphan_searches;
        let last = schedule.last().copied().unwrap_or(Duration::from_mins(1));
        let pause = schedule.get(checks).copied().unwrap_or(last);
        let pause = pause + jitter(row.id.uuid(), pause / 8);
        attempts::set_next_check(db, row.id, Some(charge.now + delta(pause)), searched).await?;
        Ok(Progress::changed(PollStep::wait(pause)))
    }
}

fn still_payable() -> GatewayError {
    GatewayError::new(
        ErrorClass::Unknown,
        "still_payable",
        "the gateway accepted the cancellation and still shows the charge as payable",
    )
}
