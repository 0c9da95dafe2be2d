//! Makes a charge unpayable: cancels it at the gateway, then applies the state that the gateway returns. A payment takes precedence.

use gateways::GatewayCharge;
use schemas::{attempt::AttemptState, charge::ChargeStatus, id::ChargeId};
use store::{StoreError, attempts, charges};

use super::{Applied, apply};
use crate::retry::sync::END_AGAIN;
use crate::{Activities, Progress, Step, alerts, delta};

impl Activities {
    /// Cancels or expires a payable charge at its gateway. `expired` and `canceled` are written only once it can no longer be paid.
    pub async fn end_charge(&self, id: ChargeId) -> Result<Progress, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let rows = attempts::of_charge(&mut db, id).await?;
        let Some(shown) = rows.iter().find(|row| row.state == AttemptState::Presented) else {
            drop(db);
            return self.nothing_to_end(id).await;
        };
        let (gateway, order) = self.reopen(&mut db, shown).await?;
        drop(db);
        let held = GatewayCharge::known(
            shown.gateway_charge_id.clone().unwrap_or_default(),
            &order.reference,
            order.amount,
        );
        let ended = gateway.cancel(&held).await;
        let mut tx = self.store.begin().await?;
        let Some(mut charge) = charges::lock(&mut tx, &self.store, id).await? else {
            return Ok(Progress::unchanged(Step::Done));
        };
        let before = charge.status;
        let mut applied = Applied::default();
        match &ended {
            Ok(observed) => {
                applied.extend(apply(&mut tx, &mut charge, shown.id, observed).await?);
            }
            Err(error) => {
                tracing::warn!(charge = %id, gateway = %shown.gateway, %error, "could not end the charge");
            }
        }
        let (step, next_check_at, checks) = self.after_end(&charge);
        charge.set_next_check(next_check_at, checks);
        applied
            .due
            .extend(charges::save(&mut tx, &mut charge).await?);
        tx.commit().await?;
        applied.start(self, &charge);
        Ok(Progress {
            step,
            changed: charge.status != before,
        })
    }

    /// Moves a payable charge without a presented attempt to `needs_review`. There is nothing to cancel at a gateway, so that retries would
    /// not end.
    async fn nothing_to_end(&self, id: ChargeId) -> Result<Progress, StoreError> {
        let mut tx = self.store.begin().await?;
        let Some(mut charge) = charges::lock(&mut tx, &self.store, id).await? else {
            return Ok(Progress::unchanged(Step::Done));
        };
        let shown = charge.has_attempt_in(AttemptState::Presented);
        if !charge.status.is_payable() || shown {
            return Ok(Progress::unchanged(Step::SYNC));
        }
        tracing::error!(charge = %id, status = %charge.status, "a payable charge has no presented attempt");
        let mut due = Vec::new();
        if let Some(last) = charge.attempts.last() {
            let message = "a charge is payable by our rows, and none of its attempts is: check it at the gateway";
            due = alerts::raise(
                &mut tx,
                last.connection,
                "charge_without_instrument",
                message,
            )
            .await?;
        }
        charge.transition(ChargeStatus::NeedsReview, None)?;
        charge.set_next_check(None, 0);
        due.extend(charges::save(&mut tx, &mut charge).await?);
        tx.commit().await?;
        self.starter.start_deliveries(due);
        Ok(Progress::changed(Step::SYNC))
    }

    fn after_end(&self, charge: &charges::LockedCharge) -> (Step, Option<schemas::Instant>, i32) {
        match charge.status {
            ChargeStatus::Expired | ChargeStatus::Canceled => match self.timing.late_checks.first()
            {
                Some(pause) => (
                    Step::check_after(*pause),
                    Some(charge.now + delta(*pause)),
                    0,
                ),
                None => (Step::Done, None, 0),
            },
            status if status.is_payable() => {
                let n = u32::try_from(charge.checks).unwrap_or(u32::MAX);
                let pause = END_AGAIN.spread(n, charge.id.uuid());
                (
                    Step::check_after(pause),
                    Some(charge.now + delta(pause)),
                    charge.checks.saturating_add(1),
                )
            }
            _ => (Step::SYNC, None, 0),
        }
    }
}
