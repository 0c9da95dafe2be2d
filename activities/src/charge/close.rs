//! The last transaction of an attempt: writes the outcome of the call and all that follows from it, and opens the next attempt.

use gateways::{GatewayCharge, GatewayError};
use schemas::{
    attempt::{AttemptState, ErrorClass},
    breaker::{self, BreakerTransition, CallHealth as Health},
    charge::ChargeStatus,
    message::{AttemptFinished, CloudEvent, Position, Topic},
    route::RouteReason,
};
use store::{
    PgConnection, StoreError,
    attempts::{AttemptOutcome, AttemptRow},
    breakers,
    charges::{self, LockedCharge},
};

use super::{
    apply::{Applied, apply},
    call::CallOutcome,
    failure::declined,
    open::{AttemptCall, ended},
    plan::{Decision, Leasing, Planning, Reach},
    schedule::next_scheduled_check,
};
use crate::{Activities, Step, alerts, delta, until};

/// Result of closing an attempt.
pub(super) struct ClosedAttempt {
    /// Next step of the workflow, unless there is a next attempt.
    pub step: Step,
    /// Attempt that was opened in the same transaction and that this worker leases.
    pub next: Option<Box<AttemptCall>>,
}

impl ClosedAttempt {
    fn only(step: Step) -> Self {
        Self { step, next: None }
    }
}

impl Activities {
    /// Closes the attempt of a call. If it failed, plans and opens the next one, which this worker leases if it `goes_on`.
    pub(super) async fn close_attempt(
        &self,
        call: &AttemptCall,
        call_outcome: CallOutcome,
        goes_on: bool,
    ) -> Result<ClosedAttempt, StoreError> {
        let mut tx = self.store.begin().await?;
        let Some(mut charge) = charges::lock(&mut tx, &self.store, call.charge).await? else {
            return Ok(ClosedAttempt::only(Step::Done));
        };
        let Some(mine) = charge.attempt(call.attempt).cloned() else {
            return Ok(ClosedAttempt::only(Step::Done));
        };
        if mine.state != AttemptState::Open || mine.lease_owner != Some(call.lease_owner) {
            let step = self.too_late(tx, charge, &mine, call_outcome).await?;
            return Ok(ClosedAttempt::only(step));
        }
        let outcome = outcome(&charge, &call_outcome);
        charge.close_attempt(call.attempt, &outcome, call_outcome.duration_ms);
        let mut applied = self
            .apply_outcome(&mut tx, &mut charge, (&mine, &outcome), &call_outcome)
            .await?;
        publish(&mut charge, &mine, &outcome, call_outcome.duration_ms);
        let moved = if call_outcome.counted {
            None
        } else {
            let answer = (call_outcome.error.as_ref(), call_outcome.duration_ms);
            self.note_health(&mut tx, call, &mut charge, answer).await?
        };
        applied.due.extend(
            self.alert_if_denied(&mut tx, &mine, &outcome, moved)
                .await?,
        );
        let closed = self.after(&mut tx, &mut charge, goes_on).await?;
        applied
            .due
            .extend(charges::save(&mut tx, &mut charge).await?);
        tx.commit().await?;
        log(call, &mine, &outcome, call_outcome.duration_ms);
        applied.start(self, &charge);
        Ok(closed)
    }

    /// Applies the outcome of an attempt to its charge.
    async fn apply_outcome(
        &self,
        db: &mut PgConnection,
        charge: &mut LockedCharge,
        (mine, outcome): (&AttemptRow, &AttemptOutcome),
        call_outcome: &CallOutcome,
    ) -> Result<Applied, StoreError> {
        let mut applied = Applied::default();
        let ended = match outcome.state {
            AttemptState::Presented => Some((ChargeStatus::Pending, None)),
            AttemptState::Declined => {
                let failure = declined(mine.gateway, call_outcome.error.as_ref());
                Some((ChargeStatus::Failed, Some(failure)))
            }
            AttemptState::Abandoned => {
                applied.orphans.push(mine.id);
                None
            }
            _ => None,
        };
        if let Some((status, failure)) = ended {
            charge.transition(status, failure.as_ref())?;
        }
        if let Some(observed) = &call_outcome.charge {
            applied.extend(apply(db, charge, mine.id, observed).await?);
        }
        if (call_outcome.several || mine.late_answer) && outcome.state == AttemptState::Presented {
            charge.check_attempt(mine.id, Some(charge.now), false);
            applied.orphans.push(mine.id);
        }
        Ok(applied)
    }

    /// Handles an answer that arrived after another worker took over the attempt, or after a notification moved it. Ids that were learned
    /// are filled in; `OrphanWorkflow` voids any further object that this call may have created.
    async fn too_late(
        &self,
        mut tx: store::Tx,
        mut charge: LockedCharge,
        mine: &AttemptRow,
        call_outcome: CallOutcome,
    ) -> Result<Step, StoreError> {
        tracing::warn!(charge = %mine.charge, attempt = %mine.id, state = %mine.state, "an answer came after its attempt was taken over");
        let mut applied = Applied::default();
        if let Some(found) = &call_outcome.charge {
            charge.fill_in(mine.id, &found.id, found.next_action.as_ref());
            let other = mine
                .gateway_charge_id
                .as_deref()
                .is_some_and(|known| known != found.id);
            match mine.state {
                AttemptState::Open => {
                    if let Some(row) = charge.attempt_mut(mine.id) {
                        row.late_answer = true;
                    }
                }
                AttemptState::Abandoned => applied.orphans.push(mine.id),
                AttemptState::Presented | AttemptState::Paid if other || call_outcome.several => {
                    applied.orphans.push(mine.id);
                }
                _ => {}
            }
            if !applied.orphans.is_empty() {
                charge.check_attempt(mine.id, Some(charge.now), false);
            }
            if mine.state != AttemptState::Open {
                applied.extend(apply(&mut tx, &mut charge, mine.id, found).await?);
            }
        }
        applied
            .due
            .extend(charges::save(&mut tx, &mut charge).await?);
        tx.commit().await?;
        applied.start(self, &charge);
        Ok(Step::ATTEMPT)
    }

    /// Records a failed create in the breaker at once, before its outcome is looked up. Returns false if it was not recorded and must be
    /// recorded later.
    pub(super) async fn count_early(
        &self,
        call: &AttemptCall,
        error: &GatewayError,
        duration_ms: i64,
    ) -> bool {
        let counted = async {
            let mut tx = self.store.begin().await?;
            let Some(mut charge) = charges::lock(&mut tx, &self.store, call.charge).await? else {
                return Ok(false);
            };
            let now = charge.now;
            let mine = charge.attempt_mut(call.attempt);
            let mine = mine.filter(|row| row.lease_owner == Some(call.lease_owner));
            let Some(mine) = mine.filter(|row| row.state == AttemptState::Open) else {
                return Ok(false);
            };
            mine.answered_at = Some(now);
            mine.error_class = Some(error.class);
            mine.duration_ms = Some(duration_ms);
            let answer = (Some(error), duration_ms);
            self.note_health(&mut tx, call, &mut charge, answer).await?;
            charges::save_attempts(&mut tx, &mut charge).await?;
            tx.commit().await?;
            Ok::<_, StoreError>(true)
        };
        match Box::pin(counted).await {
            Ok(counted) => counted,
            Err(error) => {
                tracing::warn!(attempt = %call.attempt, %error, "could not count a failed call at once");
                false
            }
        }
    }

    /// Opens the next attempt, or returns the next step of the workflow and sets the row's `next_check_at` to its time.
    async fn after(
        &self,
        db: &mut PgConnection,
        charge: &mut LockedCharge,
        goes_on: bool,
    ) -> Result<ClosedAttempt, StoreError> {
        let mut closed = ClosedAttempt::only(Step::SYNC);
        let next_check_at = match charge.status {
            ChargeStatus::Processing => {
                closed = ClosedAttempt {
                    step: Step::ATTEMPT,
                    next: self.open_next(db, charge, goes_on).await?,
                };
                Some(charge.now + delta(self.timing.sweep_grace))
            }
            status if status.is_payable() => {
                let at = next_scheduled_check(charge);
                closed.step = Step::check_after(until(at, charge.now));
                Some(at)
            }
            _ => None,
        };
        charge.set_next_check(next_check_at, charge.checks);
        Ok(closed)
    }

    /// Opens the next attempt of a charge that is still `processing`, at a healthy gateway with a free slot. Everything else is left to the
    /// next step. Returns the attempt if this worker leases it.
    async fn open_next(
        &self,
        db: &mut PgConnection,
        charge: &mut LockedCharge,
        goes_on: bool,
    ) -> Result<Option<Box<AttemptCall>>, StoreError> {
        if ended(charge).is_some() {
            return Ok(None);
        }
        // the breaker of the failed call may be locked: breakers are locked in the order of their ids, and so no other one may be
        let mut planning = Planning {
            reach: Reach::Healthy,
            leasing: if goes_on {
                Leasing::Now
            } else {
                Leasing::Never
            },
            call_slot: None,
        };
        match Box::pin(self.plan_attempt(db, charge, &mut planning)).await {
            Ok(Decision::Call(call)) => Ok(Some(call)),
            Ok(_) => Ok(None),
            Err(StoreError::Database(error)) => Err(error.into()),
            // the outcome is written all the same
            Err(error) => {
                tracing::error!(charge = %charge.id, %error, "could not plan the next attempt");
                Ok(None)
            }
        }
    }

    /// Records the health of a call in the circuit breaker. A success on a closed breaker writes nothing.
    async fn note_health(
        &self,
        db: &mut PgConnection,
        call: &AttemptCall,
        charge: &mut LockedCharge,
        (error, duration_ms): (Option<&GatewayError>, i64),
    ) -> Result<Option<BreakerTransition>, StoreError> {
        if error.is_some_and(|e| e.code == "runner_lost") {
            return Ok(None);
        }
        let settings = &charge.settings.breaker.clone();
        let outcome = breaker::outcome_of(error.map(|e| e.class), duration_ms, settings);
        let healthy = matches!(outcome, Health::Success | Health::Alive);
        if healthy && call.reason != RouteReason::Probe {
            return Ok(None);
        }
        // the window counts this attempt's row
        charges::save_attempts(db, charge).await?;
        let mut locked = breakers::lock(db, call.connection, call.api).await?;
        let this = breaker::CallReport {
            attempt: call.attempt,
            outcome,
        };
        if locked.breaker.is_noop_for(this, locked.now) {
            return Ok(None);
        }
        let since = locked.breaker.counts_from(settings, locked.now);
        let window = breakers::window(db, call.connection, call.api, since, settings).await?;
        let now = locked.now;
        let moved = locked.breaker.record(this, &window, settings, now);
        breakers::save(db, &mut locked, moved).await?;
        if let Some(moved) = moved {
            metrics::counter!("breaker_transitions_total", "api" => call.api.to_string(), "to" => moved.to.to_string())
                .increment(1);
            tracing::warn!(connection = %call.connection, api = %call.api, from = %moved.from, to = %moved.to, why = %moved.why, "circuit breaker moved");
        }
        Ok(moved)
    }

    /// Raises an alert if refused credentials opened the breaker: the merchant must check the connection.
    async fn alert_if_denied(
        &self,
        db: &mut PgConnection,
        mine: &AttemptRow,
        outcome: &AttemptOutcome,
        moved: Option<BreakerTransition>,
    ) -> Result<Vec<store::deliveries::PendingDelivery>, StoreError> {
        let denied = outcome
            .error
            .as_ref()
            .filter(|e| e.class == ErrorClass::Denied);
        match (denied, moved) {
            (Some(error), Some(_)) => {
                alerts::raise(db, mine.connection, &error.code, &error.message).await
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// Returns the outcome with which the attempt is closed.
fn outcome(charge: &LockedCharge, call_outcome: &CallOutcome) -> AttemptOutcome {
    let error = call_outcome
        .error
        .as_ref()
        .map(GatewayError::to_attempt_error);
    if let Some(found) = &call_outcome.charge {
        AttemptOutcome {
            error,
            ..adopted(charge, found)
        }
    } else {
        let class = call_outcome
            .error
            .as_ref()
            .map_or(ErrorClass::Unknown, |e| e.class);
        let state = match class {
            ErrorClass::NotCreated | ErrorClass::Denied | ErrorClass::Throttled => {
                AttemptState::NotCreated
            }
            ErrorClass::Rejected => AttemptState::Rejected,
            ErrorClass::Declined => AttemptState::Declined,
            ErrorClass::Unknown => AttemptState::Abandoned,
        };
        AttemptOutcome {
            error,
            next_check_at: (state == AttemptState::Abandoned).then_some(charge.now),
            ..AttemptOutcome::of(state)
        }
    }
}

/// Returns the outcome for a charge that exists at the gateway. It is presented if it can be paid, the charge still wants it, and no other
/// attempt is presented or paid.
fn adopted(charge: &LockedCharge, found: &GatewayCharge) -> AttemptOutcome {
    let shown =
        charge.has_attempt_in(AttemptState::Presented) || charge.has_attempt_in(AttemptState::Paid);
    let wanted =
        charge.status == ChargeStatus::Processing && charge.cancel_requested_at.is_none() && !shown;
    // an object without an instrument cannot be presented: OrphanWorkflow voids it
    let shows = found.status.is_payable() && found.next_action.is_some();
    let alive = shows || !found.payments.is_empty();
    let state = if wanted && alive {
        AttemptState::Presented
    } else {
        AttemptState::Abandoned
    };
    AttemptOutcome {
        gateway_charge_id: Some(found.id.clone()),
        next_action: found.next_action.clone(),
        next_check_at: (state == AttemptState::Abandoned).then_some(charge.now),
        ..AttemptOutcome::of(state)
    }
}

fn publish(
    charge: &mut LockedCharge,
    mine: &AttemptRow,
    outcome: &AttemptOutcome,
    duration_ms: i64,
) {
    let error = outcome.error.as_ref();
    let data = AttemptFinished {
        merchant: mine.merchant,
        charge: mine.charge,
        attempt: mine.id,
        n: mine.n,
        connection: mine.connection,
        gateway: mine.gateway,
        api: mine.api,
        method: charge.method,
        amount: charge.amount,
        reason: mine.reason,
        state: outcome.state,
        error_class: error.map(|e| e.class),
        error_code: error.map(|e| e.code.clone()),
        started_at: mine.started_at,
        duration_ms,
    };
    let position = Position {
        time: charge.now,
        mode: charge.mode,
        sequence: i64::from(mine.n),
    };
    let message = CloudEvent::new(
        mine.id.to_string(),
        "gateway.attempt.finished",
        mine.connection.to_string(),
        position,
        data,
    );
    charge.publish(Topic::GatewayAttempts, &message);
}

fn log(call: &AttemptCall, mine: &AttemptRow, outcome: &AttemptOutcome, duration_ms: i64) {
    let error = outcome.error.as_ref();
    let labels = [
        ("gateway", mine.gateway.to_string()),
        ("state", outcome.state.to_string()),
    ];
    metrics::counter!("attempts_total", &labels).increment(1);
    tracing::info!(
        charge = %call.charge, attempt = %call.attempt, n = mine.n, gateway = %mine.gateway, connection = %mine.connection,
        reason = %mine.reason, state = %outcome.state, duration_ms,
        error = error.map_or("", |e| e.code.as_str()), "attempt finished",
    );
}
