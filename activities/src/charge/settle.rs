//! The second transaction of an attempt: the outcome of the call, with everything that follows from it.

use gateways::{GatewayCharge, GatewayError};
use schemas::{
    attempt::{ErrorClass, State},
    breaker::{self, Outcome as Health, Transition},
    charge::Status,
    message::{AttemptFinished, CloudEvent, Topic},
    route::Reason,
};
use store::{
    PgConnection, StoreError,
    attempts::{self, Outcome},
    breakers, charges, outbox,
};

use super::{
    apply::{Applied, apply},
    attempt::Called,
    begin::Call,
    due::next_turn,
    failure::declined,
};
use crate::{Activities, Step, attention, delta, until};

impl Activities {
    pub(super) async fn settle(&self, call: &Call, called: Called) -> Result<Step, StoreError> {
        let mut tx = self.store.begin().await?;
        let Some(mut charge) = charges::lock(&mut tx, call.charge).await? else {
            return Ok(Step::Done);
        };
        let rows = attempts::of_charge(&mut tx, call.charge).await?;
        let Some(mine) = rows.iter().find(|row| row.id == call.attempt) else {
            return Ok(Step::Done);
        };
        if mine.state != State::Open || mine.runner != call.runner {
            return self.too_late(tx, charge, mine, called).await;
        }
        let outcome = outcome(&charge, &rows, &called);
        attempts::close(
            &mut tx,
            call.attempt,
            call.runner,
            &outcome,
            called.duration_ms,
        )
        .await?;
        let mut applied = self
            .follow_outcome(&mut tx, &mut charge, (mine, &outcome), &called)
            .await?;
        let step = self.after(&mut tx, &charge).await?;
        let moved = if called.counted {
            None
        } else {
            let answer = (called.error.as_ref(), called.duration_ms);
            self.note_health(&mut tx, call, &charge, answer).await?
        };
        publish(&mut tx, &charge, mine, &outcome, called.duration_ms).await?;
        applied
            .due
            .extend(self.alert_if_denied(&mut tx, mine, &outcome, moved).await?);
        tx.commit().await?;
        log(call, mine, &outcome, called.duration_ms);
        applied.start(self, &charge);
        Ok(step)
    }

    /// What the outcome of an attempt means for its charge.
    async fn follow_outcome(
        &self,
        db: &mut PgConnection,
        charge: &mut charges::Locked,
        (mine, outcome): (&attempts::Row, &Outcome),
        called: &Called,
    ) -> Result<Applied, StoreError> {
        let mut applied = Applied::default();
        let ended = match outcome.state {
            State::Presented => Some((Status::Pending, None)),
            State::Declined => {
                let failure = declined(mine.gateway, called.error.as_ref());
                Some((Status::Failed, Some(failure)))
            }
            State::Abandoned => {
                applied.reconcile.push(mine.id);
                None
            }
            _ => None,
        };
        if let Some((status, failure)) = ended {
            let due = charges::transition(db, &self.store, charge, status, failure.as_ref());
            applied.due.extend(due.await?.unwrap_or_default());
        }
        if let Some(observed) = &called.charge {
            applied.extend(apply(self, db, charge, mine.id, observed).await?);
        }
        if (called.several || mine.late_answer) && outcome.state == State::Presented {
            attempts::set_look_at(db, mine.id, Some(charge.now), false).await?;
            applied.reconcile.push(mine.id);
        }
        Ok(applied)
    }

    /// Another worker has the attempt by now, or a notification that overtook this answer moved it. What was learned is filled in;
    /// what this call may have created beside it is left to the orphan's workflow.
    async fn too_late(
        &self,
        mut tx: store::Tx,
        mut charge: charges::Locked,
        mine: &attempts::Row,
        called: Called,
    ) -> Result<Step, StoreError> {
        tracing::warn!(charge = %mine.charge, attempt = %mine.id, state = %mine.state, "an answer came after its attempt was taken over");
        let mut applied = Applied::default();
        if let Some(found) = &called.charge {
            attempts::fill_in(&mut tx, mine.id, &found.id, found.next_action.as_ref()).await?;
            let other = mine
                .gateway_charge_id
                .as_deref()
                .is_some_and(|known| known != found.id);
            match mine.state {
                State::Open => attempts::note_late_answer(&mut tx, mine.id).await?,
                State::Abandoned => applied.reconcile.push(mine.id),
                State::Presented | State::Paid if other || called.several => {
                    applied.reconcile.push(mine.id);
                }
                _ => {}
            }
            if !applied.reconcile.is_empty() {
                attempts::set_look_at(&mut tx, mine.id, Some(charge.now), false).await?;
            }
            if mine.state != State::Open {
                applied.extend(apply(self, &mut tx, &mut charge, mine.id, found).await?);
            }
        }
        tx.commit().await?;
        applied.start(self, &charge);
        Ok(Step::ATTEMPT)
    }

    /// Lets the breaker count a failed create at once, before its outcome is searched for. `false`: it could not, and counts it later.
    pub(super) async fn count_early(
        &self,
        call: &Call,
        error: &GatewayError,
        duration_ms: i64,
    ) -> bool {
        let counted = async {
            let mut tx = self.store.begin().await?;
            let Some(charge) = charges::lock(&mut tx, call.charge).await? else {
                return Ok(false);
            };
            let (id, runner) = (call.attempt, call.runner);
            if !attempts::answered(&mut tx, id, runner, error.class, duration_ms).await? {
                return Ok(false);
            }
            self.note_health(&mut tx, call, &charge, (Some(error), duration_ms))
                .await?;
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

    /// What the workflow does next, with the row's `look_at` set to it.
    async fn after(
        &self,
        db: &mut PgConnection,
        charge: &charges::Locked,
    ) -> Result<Step, StoreError> {
        let (look_at, step) = match charge.status {
            Status::Processing => (
                Some(charge.now + delta(self.timing.sweep_grace)),
                Step::ATTEMPT,
            ),
            status if status.is_payable() => {
                let at = next_turn(charge);
                (Some(at), Step::look_after(until(at, charge.now)))
            }
            _ => (None, Step::LOOK),
        };
        charges::set_look_at(db, charge.id, look_at, charge.looks).await?;
        Ok(step)
    }

    /// Lets the circuit breaker count how the call went. A success on a closed breaker writes nothing.
    async fn note_health(
        &self,
        db: &mut PgConnection,
        call: &Call,
        charge: &charges::Locked,
        (error, duration_ms): (Option<&GatewayError>, i64),
    ) -> Result<Option<Transition>, StoreError> {
        if error.is_some_and(|e| e.code == "runner_lost") {
            return Ok(None);
        }
        let settings = &charge.settings.breaker;
        let outcome = breaker::outcome_of(error.map(|e| e.class), duration_ms, settings);
        let healthy = matches!(outcome, Health::Success | Health::Alive);
        if healthy && call.reason != Reason::Probe {
            return Ok(None);
        }
        let mut locked = breakers::lock(db, call.connection, call.family).await?;
        let this = breaker::Call {
            attempt: call.attempt,
            outcome,
        };
        if locked.breaker.is_noop_for(this, locked.now) {
            return Ok(None);
        }
        let since = locked.breaker.counts_from(settings, locked.now);
        let window = breakers::window(db, call.connection, call.family, since, settings).await?;
        let now = locked.now;
        let moved = locked.breaker.record(this, &window, settings, now);
        breakers::save(db, &mut locked, moved).await?;
        if let Some(moved) = moved {
            metrics::counter!("breaker_transitions_total", "api" => call.family.to_string(), "to" => moved.to.to_string())
                .increment(1);
            tracing::warn!(connection = %call.connection, api = %call.family, from = %moved.from, to = %moved.to, why = %moved.why, "circuit breaker moved");
        }
        Ok(moved)
    }

    /// Refused credentials opened the breaker: a person must look at the connection.
    async fn alert_if_denied(
        &self,
        db: &mut PgConnection,
        mine: &attempts::Row,
        outcome: &Outcome,
        moved: Option<Transition>,
    ) -> Result<Vec<store::deliveries::Due>, StoreError> {
        let denied = outcome
            .error
            .as_ref()
            .filter(|e| e.class == ErrorClass::Denied);
        match (denied, moved) {
            (Some(error), Some(_)) => {
                attention::raise(db, mine.connection, &error.code, &error.message).await
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// How the attempt ends.
fn outcome(charge: &charges::Locked, rows: &[attempts::Row], called: &Called) -> Outcome {
    let error = called.error.as_ref().map(GatewayError::to_attempt_error);
    if let Some(found) = &called.charge {
        Outcome {
            error,
            ..adopted(charge, rows, found)
        }
    } else {
        let class = called
            .error
            .as_ref()
            .map_or(ErrorClass::Unknown, |e| e.class);
        let state = match class {
            ErrorClass::NotCreated | ErrorClass::Denied | ErrorClass::Throttled => {
                State::NotCreated
            }
            ErrorClass::Refused => State::Refused,
            ErrorClass::Declined => State::Declined,
            ErrorClass::Unknown => State::Abandoned,
        };
        Outcome {
            error,
            look_at: (state == State::Abandoned).then_some(charge.now),
            ..Outcome::of(state)
        }
    }
}

/// The gateway has it: it is shown if it can be paid, the charge still wants it, and nothing else is shown.
fn adopted(charge: &charges::Locked, rows: &[attempts::Row], found: &GatewayCharge) -> Outcome {
    let shown = rows
        .iter()
        .any(|row| matches!(row.state, State::Presented | State::Paid));
    let wanted =
        charge.status == Status::Processing && charge.cancel_requested_at.is_none() && !shown;
    // what has nothing to show cannot be shown: it is left to OrphanWorkflow, which voids it
    let shows = found.status.is_payable() && found.next_action.is_some();
    let alive = shows || !found.payments.is_empty();
    let state = if wanted && alive {
        State::Presented
    } else {
        State::Abandoned
    };
    Outcome {
        gateway_charge_id: Some(found.id.clone()),
        next_action: found.next_action.clone(),
        look_at: (state == State::Abandoned).then_some(charge.now),
        ..Outcome::of(state)
    }
}

async fn publish(
    db: &mut PgConnection,
    charge: &charges::Locked,
    mine: &attempts::Row,
    outcome: &Outcome,
    duration_ms: i64,
) -> Result<(), StoreError> {
    let error = outcome.error.as_ref();
    let data = AttemptFinished {
        merchant: mine.merchant,
        charge: mine.charge,
        attempt: mine.id,
        n: mine.n,
        connection: mine.connection,
        gateway: mine.gateway,
        family: mine.family,
        method: charge.method,
        amount: charge.amount,
        reason: mine.reason,
        state: outcome.state,
        error_class: error.map(|e| e.class),
        error_code: error.map(|e| e.code.clone()),
        started_at: mine.started_at,
        duration_ms,
    };
    let about = (charge.now, charge.mode, i64::from(mine.n));
    let message = CloudEvent::new(
        mine.id.to_string(),
        "gateway.attempt.finished",
        mine.connection.to_string(),
        about,
        data,
    );
    outbox::insert(db, Topic::GatewayAttempts, &message).await
}

fn log(call: &Call, mine: &attempts::Row, outcome: &Outcome, duration_ms: i64) {
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
