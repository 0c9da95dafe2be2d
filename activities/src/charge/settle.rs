//! The second transaction of an attempt: what came of the call, with everything that follows from it.

use gateways::{GatewayCharge, GatewayError};
use schemas::{
    attempt::{ErrorClass, State},
    breaker::{self, Outcome as Health, Transition},
    charge::{Failure, FailureCode, GatewayFailure, Status},
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
    look::next_turn,
};
use crate::{Activities, Step, attention, delta, until};

impl Activities {
    pub(super) async fn settle(&self, call: &Call, called: Called) -> Result<Step, StoreError> {
        let mut tx = self.store.pool.begin().await?;
        let Some(mut charge) = charges::lock(&mut tx, call.charge).await? else {
            return Ok(Step::Done);
        };
        let rows = attempts::of_charge(&mut tx, call.charge).await?;
        let Some(mine) = rows.iter().find(|row| row.id == call.attempt) else {
            return Ok(Step::Done);
        };
        if mine.state != State::Open || mine.runner != call.runner {
            return self.too_late(tx, &charge, mine, called).await;
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
        let mut applied = Applied::default();
        match outcome.state {
            State::Presented => {
                let due =
                    charges::transition(&mut tx, &self.store, &mut charge, Status::Pending, None)
                        .await?;
                applied.due.extend(due.unwrap_or_default());
            }
            State::Refused | State::Declined => {
                let failure = refusal(mine, &outcome);
                let due = charges::transition(
                    &mut tx,
                    &self.store,
                    &mut charge,
                    Status::Failed,
                    Some(&failure),
                )
                .await?;
                applied.due.extend(due.unwrap_or_default());
            }
            State::Abandoned => applied.reconcile.push(call.attempt),
            _ => {}
        }
        if let Some(observed) = &called.charge {
            applied.extend(apply(self, &mut tx, &mut charge, call.attempt, observed).await?);
        }
        if called.several && outcome.state == State::Presented {
            attempts::set_look_at(&mut tx, call.attempt, Some(charge.now), false).await?;
            applied.reconcile.push(call.attempt);
        }
        let step = self.after(&mut tx, &charge).await?;
        let moved = self
            .note_health(&mut tx, call, (mine, &charge), &called)
            .await?;
        publish(&mut tx, &charge, mine, &outcome, called.duration_ms).await?;
        applied
            .due
            .extend(self.alert_if_denied(&mut tx, mine, &outcome, moved).await?);
        tx.commit().await?;
        log(call, mine, &outcome, called.duration_ms);
        applied.start(self, &charge);
        Ok(step)
    }

    /// The row is somebody else's by now, or was moved by a notification that overtook our answer. What we learned is filled in;
    /// whatever we may have created beside it is left to Reconcile.
    async fn too_late(
        &self,
        mut tx: store::Tx,
        charge: &charges::Locked,
        mine: &attempts::Row,
        called: Called,
    ) -> Result<Step, StoreError> {
        if let Some(found) = &called.charge {
            attempts::fill_in(&mut tx, mine.id, &found.id, found.next_action.as_ref()).await?;
        }
        let open = mine.state == State::Open;
        if !open {
            attempts::set_look_at(&mut tx, mine.id, Some(charge.now), false).await?;
        }
        tx.commit().await?;
        tracing::warn!(charge = %mine.charge, attempt = %mine.id, state = %mine.state, "an answer came after its attempt was taken over");
        if !open {
            self.starter
                .start_reconcile(charge.merchant, charge.id, mine.id);
        }
        Ok(Step::ATTEMPT)
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

    /// Tells the circuit breaker how the call went. A success on a closed breaker writes nothing.
    async fn note_health(
        &self,
        db: &mut PgConnection,
        call: &Call,
        (mine, charge): (&attempts::Row, &charges::Locked),
        called: &Called,
    ) -> Result<Option<Transition>, StoreError> {
        let error = called.error.as_ref();
        if error.is_some_and(|e| e.code == breakers::BULKHEAD || e.code == "runner_lost") {
            return Ok(None);
        }
        let settings = &charge.settings.breaker;
        let outcome = breaker::outcome_of(error.map(|e| e.class), called.duration_ms, settings);
        let healthy = matches!(outcome, Health::Success | Health::Alive);
        if healthy && call.reason != Reason::Probe {
            return Ok(None);
        }
        let mut locked = breakers::lock(db, call.connection, mine.family).await?;
        let this = breaker::Call {
            attempt: call.attempt,
            outcome,
        };
        if locked.breaker.is_noop_for(this, locked.now) {
            return Ok(None);
        }
        let since = locked.breaker.counts_from(settings, locked.now);
        let window = breakers::window(db, call.connection, mine.family, since, settings).await?;
        let now = locked.now;
        let moved = locked.breaker.record(this, &window, settings, now);
        breakers::save(db, &mut locked, moved).await?;
        if let Some(moved) = moved {
            metrics::counter!("breaker_transitions_total", "gateway" => mine.gateway.to_string(), "to" => moved.to.to_string())
                .increment(1);
            tracing::warn!(connection = %call.connection, gateway = %mine.gateway, from = %moved.from, to = %moved.to, why = %moved.why, "circuit breaker moved");
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
    // what has nothing to show cannot be shown: it is left to Reconcile, which voids it
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

fn refusal(mine: &attempts::Row, outcome: &Outcome) -> Failure {
    let gateway = outcome.error.as_ref().map(|error| GatewayFailure {
        kind: mine.gateway,
        code: error.code.clone(),
        message: error.message.clone(),
    });
    let code = if outcome.state == State::Declined {
        FailureCode::Declined
    } else {
        FailureCode::RefusedByGateway
    };
    Failure {
        code,
        message: format!(
            "{} refused the charge: correct what it names and try again with a new charge",
            mine.gateway
        ),
        retryable: false,
        gateway,
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
