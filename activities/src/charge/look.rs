//! Looking at a charge: what gateways said meanwhile is applied, and what is due is decided.

use std::time::Duration;

use gateways::{GatewayCharge, Observed};
use schemas::{
    Instant, attempt::State, calendar, charge::Status, id::ChargeId, payment_method::Kind,
    retry::Backoff,
};
use store::{
    PgConnection, StoreError, attempts,
    charges::{self, Locked},
    facts::{self, Fact},
};

use super::{Applied, apply, money};
use crate::{Activities, Step, delta, until};

/// Between looks while a gateway does not answer or does not confirm.
const ASK_AGAIN: Backoff = Backoff {
    initial_ms: 2_000,
    factor: 2,
    max_ms: 300_000,
};
/// How long a charge that waits for Reconcile, or for its running attempt, waits before it looks by itself.
const WAITING: Duration = Duration::from_mins(1);

/// Business days until a boleto that was paid on its last day must have been told.
const BOLETO_SETTLES_IN: u16 = 4;

/// What the gateways said, and whether all of them answered.
#[derive(Default)]
struct Heard {
    observed: Vec<(Fact, Observed)>,
    late: Vec<(schemas::id::AttemptId, GatewayCharge)>,
    /// A hint was not confirmed, or a gateway could not be asked.
    unanswered: bool,
}

impl Activities {
    /// Applies what was said, then decides what is next.
    pub async fn look_at_charge(&self, id: ChargeId) -> Result<Step, StoreError> {
        let heard = Box::pin(self.listen(id)).await?;
        let mut tx = self.store.pool.begin().await?;
        let Some(mut charge) = charges::lock(&mut tx, id).await? else {
            return Ok(Step::Done);
        };
        let mut applied = Applied::default();
        let mut unknown_payment = false;
        for (fact, observed) in &heard.observed {
            let known = match observed {
                // a late word must not end a dispute: the gateway is asked how it stands now
                Observed::Charge(told)
                    if fact.observed.is_some()
                        && money::ends_dispute(&mut tx, &charge, told).await? =>
                {
                    false
                }
                Observed::Charge(observed) => {
                    applied
                        .extend(apply(self, &mut tx, &mut charge, fact.attempt, observed).await?);
                    true
                }
                Observed::Refund(refund) => {
                    money::refunded(self, &mut tx, &mut charge, refund, &mut applied).await?
                }
                Observed::Dispute(dispute) => {
                    money::disputed(self, &mut tx, &mut charge, dispute, &mut applied).await?
                }
            };
            if known {
                facts::handled(&mut tx, fact).await?;
            } else {
                facts::must_ask(&mut tx, fact).await?;
            }
            unknown_payment |= !known;
        }
        for (attempt, observed) in &heard.late {
            applied.extend(apply(self, &mut tx, &mut charge, *attempt, observed).await?);
        }
        if is_overdue(&charge) {
            let due = charges::transition(&mut tx, &self.store, &mut charge, Status::Overdue, None);
            applied.due.extend(due.await?.unwrap_or_default());
        }
        let waits = self.has_open(&mut tx, id).await?;
        let unanswered = heard.unanswered || unknown_payment;
        let (step, look_at, looks) = self.next(&charge, unanswered, waits);
        charges::set_look_at(&mut tx, id, look_at, looks).await?;
        tx.commit().await?;
        applied.start(self, &charge);
        Ok(step)
    }

    async fn has_open(&self, db: &mut PgConnection, id: ChargeId) -> Result<bool, StoreError> {
        Ok(attempts::of_charge(db, id)
            .await?
            .iter()
            .any(|a| matches!(a.state, State::Open | State::Abandoned)))
    }

    /// Reads what was said, and asks where that was only a hint, or where late money is possible. Outside of any transaction, and
    /// without keeping a connection to the database: a gateway may take its time.
    async fn listen(&self, id: ChargeId) -> Result<Heard, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let rows = attempts::of_charge(&mut db, id).await?;
        let said = facts::unhandled(&mut db, id).await?;
        let late = charges::late_look(&mut db, id).await?;
        drop(db);
        let mut heard = Heard::default();
        for fact in said {
            match &fact.observed {
                Some(json) => {
                    let observed = serde_json::from_value(json.clone())
                        .map_err(|why| StoreError::corrupt("notification_facts.observed", why))?;
                    heard.observed.push((fact, observed));
                }
                None => self.confirm(&rows, fact, &mut heard).await?,
            }
        }
        if late {
            for row in rows.iter().filter(|row| row.state == State::Voided) {
                match self.ask(row).await? {
                    Some(found) => heard
                        .late
                        .extend(found.into_iter().map(|charge| (row.id, charge))),
                    None => heard.unanswered = true,
                }
            }
        }
        Ok(heard)
    }

    /// A hint closes only if the gateway confirmed it.
    async fn confirm(
        &self,
        rows: &[attempts::Row],
        fact: Fact,
        heard: &mut Heard,
    ) -> Result<(), StoreError> {
        let Some(row) = rows.iter().find(|row| row.id == fact.attempt) else {
            return Ok(());
        };
        let found = self.ask(row).await?;
        match found.and_then(|found| found.into_iter().max_by_key(|charge| charge.payments.len())) {
            Some(charge) if !charge.status.is_payable() => {
                let observed = Observed::Charge(Box::new(charge));
                heard.observed.push((fact, observed));
            }
            _ => heard.unanswered = true,
        }
        Ok(())
    }

    /// What the gateway has under the attempt's reference; `None` if it did not answer.
    async fn ask(&self, row: &attempts::Row) -> Result<Option<Vec<GatewayCharge>>, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let (gateway, order) = self.reopen(&mut db, row).await?;
        drop(db);
        match gateway.find(&order).await {
            Ok(found) => {
                if found.is_empty() && row.state == State::Presented {
                    metrics::counter!("presented_not_found_total", "gateway" => row.gateway.to_string()).increment(1);
                    tracing::error!(attempt = %row.id, gateway = %row.gateway, "the gateway knows nothing of a presented instrument");
                }
                Ok(Some(found))
            }
            Err(error) => {
                tracing::warn!(attempt = %row.id, gateway = %row.gateway, %error, "could not ask");
                Ok(None)
            }
        }
    }

    /// What is next, when, and how many looks there were.
    fn next(&self, charge: &Locked, unanswered: bool, waits: bool) -> (Step, Option<Instant>, i32) {
        let after = |pause: Duration, looks| {
            (
                Step::look_after(pause),
                Some(charge.now + delta(pause)),
                looks,
            )
        };
        if unanswered {
            let n = u32::try_from(charge.looks).unwrap_or(u32::MAX);
            return after(
                Duration::from_millis(ASK_AGAIN.delay_ms(n)),
                charge.looks + 1,
            );
        }
        match charge.status {
            Status::Processing if waits => after(WAITING, charge.looks),
            Status::Processing => (Step::ATTEMPT, charge.look_at, charge.looks),
            status if status.is_payable() => {
                if charge.cancel_requested_at.is_some() {
                    (Step::Cancel, charge.look_at, charge.looks)
                } else if charge.expires_at <= charge.now {
                    (Step::Expire, charge.look_at, charge.looks)
                } else {
                    let at = next_turn(charge);
                    (Step::look_after(until(at, charge.now)), Some(at), 0)
                }
            }
            Status::Expired | Status::Canceled => self.late_look(charge),
            _ => (Step::Done, None, 0),
        }
    }

    /// Late money: an expired or canceled charge is looked at a few more times.
    fn late_look(&self, charge: &Locked) -> (Step, Option<Instant>, i32) {
        if let Some(at) = settling(charge) {
            return (
                Step::look_after(until(at, charge.now)),
                Some(at),
                charge.looks,
            );
        }
        let due = charge.look_at.is_some_and(|at| at <= charge.now);
        let done = usize::try_from(charge.looks)
            .unwrap_or(usize::MAX)
            .saturating_add(usize::from(due));
        match (charge.look_at, self.timing.late_looks.get(done)) {
            (Some(at), _) if !due => (
                Step::look_after(until(at, charge.now)),
                Some(at),
                charge.looks,
            ),
            (Some(_), Some(pause)) => {
                let looks = i32::try_from(done).unwrap_or(i32::MAX);
                (
                    Step::look_after(*pause),
                    Some(charge.now + delta(*pause)),
                    looks,
                )
            }
            _ => (Step::Done, None, 0),
        }
    }
}

/// When a payable charge must be looked at: at the end of its due day, if it can be paid after that; else at its end.
pub(super) fn next_turn(charge: &Locked) -> Instant {
    let due_end = due_end(charge).filter(|at| *at > charge.now);
    due_end.map_or(charge.expires_at, |at| at.min(charge.expires_at))
}

fn due_end(charge: &Locked) -> Option<Instant> {
    let due = charge.payment_method.due()?;
    Some(calendar::end_of(calendar::business_day_from(due.due_date)))
}

/// Past its due date, and payable still.
fn is_overdue(charge: &Locked) -> bool {
    charge.status == Status::Pending
        && charge.expires_at > charge.now
        && due_end(charge).is_some_and(|at| at <= charge.now)
}

/// Banks tell of a boleto's payment days after it: the last look is when they must have.
fn settling(charge: &Locked) -> Option<Instant> {
    let due_now = charge.look_at.is_none_or(|at| at <= charge.now);
    let last_day = calendar::today(charge.expires_at);
    let at = calendar::end_of(calendar::business_days_after(last_day, BOLETO_SETTLES_IN));
    (charge.method == Kind::Boleto
        && charge.status == Status::Expired
        && due_now
        && at > charge.now)
        .then_some(at)
}
