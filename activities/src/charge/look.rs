//! Syncing a charge: what gateways reported is applied, hints are checked at the gateway, and what is due is decided.

use std::{collections::BTreeMap, time::Duration};

use futures::{FutureExt, StreamExt, stream};
use gateways::{GatewayCharge, Observed, outside};
use schemas::{
    Instant,
    attempt::State,
    charge::Status,
    id::{AttemptId, ChargeId, PaymentId},
    retry::{Backoff, jitter},
};
use store::{
    PgConnection, StoreError, attempts,
    charges::{self, Locked},
    deliveries::Due,
    facts::{self, Fact},
};
use tokio::time::Instant as Stopwatch;

use super::{
    Applied, apply,
    due::{is_overdue, next_turn, settling},
    money, reversal,
};
use crate::{Activities, Progress, Step, attention, delta, until};

/// Between syncs while a gateway does not answer or does not confirm.
const ASK_AGAIN: Backoff = Backoff {
    initial_ms: 2_000,
    factor: 2,
    max_ms: 300_000,
};
/// How many times a gateway is asked about a hint that it does not confirm. With the pauses above, about half an hour.
const HINT_CHECKS: i32 = 12;
/// How many times a gateway that does not answer is asked about a hint: about a day.
const UNANSWERED_CHECKS: i32 = 300;
/// Between reads of an ended charge at a gateway that does not answer.
const LATE_AGAIN: Duration = Duration::from_mins(5);
/// For how long they go on.
const LATE_FOR: Duration = Duration::from_hours(7 * 24);
/// How long a charge waits for the attempt that another worker is making before it syncs by itself.
const WAITING: Duration = Duration::from_mins(1);
/// How many attempts are asked about at a time.
const ASK_AT_A_TIME: usize = 4;
/// After so long no further gateway is asked within one sync; the activity must end in time.
const ASK_WITHIN: Duration = Duration::from_secs(20);

/// The answers that one sync works with.
#[derive(Default)]
struct Heard {
    proved: Vec<(Fact, Option<Observed>)>,
    /// The payments that were recorded before any gateway was asked.
    seen: Vec<PaymentId>,
    hints: Vec<Asked>,
    late: Vec<Asked>,
}

/// One attempt that its gateway was asked about, and the hints that asked for it.
struct Asked {
    attempt: AttemptId,
    facts: Vec<Fact>,
    /// `None`: the gateway did not answer.
    found: Option<Vec<GatewayCharge>>,
}

/// What a sync left to decide on.
#[derive(Default)]
struct Synced {
    applied: Applied,
    changed: bool,
    /// A hint was not confirmed, or a gateway could not be asked.
    unanswered: bool,
    /// An observation became a hint: the gateway is asked in the next sync.
    must_ask: bool,
}

impl Activities {
    /// Applies what was reported, then decides what is next.
    pub async fn look_at_charge(&self, id: ChargeId) -> Result<Progress, StoreError> {
        let heard = Box::pin(self.listen(id)).await?;
        let mut tx = self.store.begin().await?;
        let Some(mut charge) = charges::lock(&mut tx, id).await? else {
            return Ok(Progress::unchanged(Step::Done));
        };
        let before = charge.status;
        let mut synced = Synced::default();
        for (fact, observed) in &heard.proved {
            self.apply_fact(&mut tx, &mut charge, (fact, observed.as_ref()), &mut synced)
                .await?;
        }
        for asked in heard.hints.iter().chain(&heard.late) {
            let asked = (asked, heard.seen.as_slice());
            self.apply_asked(&mut tx, &mut charge, asked, &mut synced)
                .await?;
        }
        if is_overdue(&charge) {
            let due = charges::transition(&mut tx, &self.store, &mut charge, Status::Overdue, None);
            synced.applied.due.extend(due.await?.unwrap_or_default());
        }
        let rows = attempts::of_charge(&mut tx, id).await?;
        let (step, look_at, looks) = if synced.must_ask {
            (Step::LOOK, Some(charge.now), charge.looks)
        } else {
            self.next(&charge, synced.unanswered, &rows)
        };
        charges::set_look_at(&mut tx, id, look_at, looks).await?;
        tx.commit().await?;
        synced.applied.start(self, &charge);
        Ok(Progress {
            step,
            changed: synced.changed || synced.must_ask || charge.status != before,
        })
    }

    /// Applies one proved observation. What it contradicts, or cannot be applied yet, is read at the gateway instead.
    async fn apply_fact(
        &self,
        db: &mut PgConnection,
        charge: &mut Locked,
        (fact, observed): (&Fact, Option<&Observed>),
        synced: &mut Synced,
    ) -> Result<(), StoreError> {
        let applied = &mut synced.applied;
        let known = match observed {
            None => false,
            Some(Observed::Charge(stated)) => {
                let stale = money::ends_dispute(db, charge, stated).await?
                    || reversal::contradicts(db, charge, fact.attempt, stated).await?;
                if !stale {
                    applied.extend(apply(self, db, charge, fact.attempt, stated).await?);
                }
                !stale
            }
            Some(Observed::Refund(refund)) => {
                money::refunded(self, db, charge, refund, applied).await?
            }
            Some(Observed::Dispute(dispute)) => {
                money::disputed(self, db, charge, dispute, applied).await?
            }
        };
        if known {
            facts::handled(db, fact).await?;
            synced.changed = true;
        } else {
            facts::must_ask(db, fact).await?;
            synced.must_ask = true;
        }
        Ok(())
    }

    /// Applies what the gateway has now of one attempt. Hints that it does not confirm are asked about again, for a while.
    async fn apply_asked(
        &self,
        db: &mut PgConnection,
        charge: &mut Locked,
        (asked, seen): (&Asked, &[PaymentId]),
        synced: &mut Synced,
    ) -> Result<(), StoreError> {
        let mut confirmed = false;
        if let Some(found) = &asked.found {
            let applied = &mut synced.applied;
            let about = (asked.attempt, found.as_slice(), seen);
            confirmed |= reversal::reverse(self, db, charge, about, applied).await?;
            for object in found {
                let armed = applied.reconcile.len();
                applied.extend(apply(self, db, charge, asked.attempt, object).await?);
                confirmed |= !object.status.is_payable() || applied.reconcile.len() > armed;
            }
        }
        synced.changed |= confirmed;
        let checks = match &asked.found {
            Some(_) => HINT_CHECKS,
            None => UNANSWERED_CHECKS,
        };
        for fact in &asked.facts {
            if confirmed {
                facts::handled(db, fact).await?;
            } else if fact.checks + 1 < checks {
                facts::unconfirmed(db, fact).await?;
                synced.unanswered = true;
            } else {
                facts::handled(db, fact).await?;
                synced.changed = true;
                synced.applied.due.extend(give_up(db, charge, fact).await?);
            }
        }
        synced.unanswered |= asked.facts.is_empty() && asked.found.is_none();
        Ok(())
    }

    /// Reads what was reported, and asks where that was only a hint, or where late money is possible. Outside of any transaction, and
    /// without keeping a connection to the database: a gateway may take its time.
    async fn listen(&self, id: ChargeId) -> Result<Heard, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let rows = attempts::of_charge(&mut db, id).await?;
        let reported = facts::unhandled(&mut db, id).await?;
        let late = charges::late_look(&mut db, id).await?;
        let seen = reversal::seen(&mut db, id).await?;
        drop(db);
        let mut heard = Heard {
            seen,
            ..Heard::default()
        };
        let mut hints: BTreeMap<AttemptId, Vec<Fact>> = BTreeMap::new();
        for mut fact in reported {
            match fact.observed.take() {
                Some(json) => {
                    let observed = serde_json::from_value(json).map_err(|error| {
                        tracing::error!(charge = %id, key = fact.dedupe_key, %error, "a stored observation is unreadable: the gateway is asked instead");
                    });
                    heard.proved.push((fact, observed.ok()));
                }
                None => hints.entry(fact.attempt).or_default().push(fact),
            }
        }
        let late = rows.iter().filter(|row| {
            let ended = matches!(row.state, State::Voided | State::Absent);
            late && ended && !hints.contains_key(&row.id)
        });
        let late: Vec<_> = late.map(|row| (row.clone(), Vec::new())).collect();
        let hints = hints.into_iter().filter_map(|(attempt, facts)| {
            let row = rows.iter().find(|row| row.id == attempt)?;
            Some((row.clone(), facts))
        });
        heard.hints = self.ask_all(hints.collect()).await?;
        heard.late = self.ask_all(late).await?;
        Ok(heard)
    }

    async fn ask_all(
        &self,
        about: Vec<(attempts::Row, Vec<Fact>)>,
    ) -> Result<Vec<Asked>, StoreError> {
        let started = outside::instant();
        let mut asking = stream::iter(about)
            .map(|(row, facts)| self.ask_one(row, facts, started).boxed())
            .buffered(ASK_AT_A_TIME);
        let mut asked = Vec::new();
        while let Some(answer) = asking.next().await {
            asked.push(answer?);
        }
        Ok(asked)
    }

    async fn ask_one(
        &self,
        row: attempts::Row,
        facts: Vec<Fact>,
        started: Stopwatch,
    ) -> Result<Asked, StoreError> {
        let found = if outside::instant() - started < ASK_WITHIN {
            self.ask(&row).await?
        } else {
            None
        };
        Ok(Asked {
            attempt: row.id,
            facts,
            found,
        })
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

    /// What is next, when, and how many syncs there were. A cancel and an expiry come before everything that is only a hint.
    fn next(
        &self,
        charge: &Locked,
        unanswered: bool,
        rows: &[attempts::Row],
    ) -> (Step, Option<Instant>, i32) {
        let at_of = |pause| Some(charge.now + delta(pause));
        let open = rows.iter().find(|row| row.state == State::Open);
        match (charge.status, open) {
            (Status::Processing, Some(open)) => {
                let left = until(open.lease_expires_at, charge.now);
                let pause = left.clamp(Duration::from_secs(1), WAITING);
                (Step::attempt_after(pause), at_of(pause), charge.looks)
            }
            (Status::Processing, None) => (Step::ATTEMPT, at_of(WAITING), charge.looks),
            (status, _) if status.is_payable() && charge.cancel_requested_at.is_some() => {
                (Step::Cancel, charge.look_at, charge.looks)
            }
            (status, _) if status.is_payable() && charge.expires_at <= charge.now => {
                (Step::Expire, charge.look_at, charge.looks)
            }
            (Status::Expired | Status::Canceled, _) if unanswered && !is_long_over(charge) => {
                let pause = LATE_AGAIN + jitter(charge.id.uuid(), LATE_AGAIN / 4);
                (Step::look_after(pause), at_of(pause), charge.looks)
            }
            _ if unanswered && !is_long_over(charge) => {
                let n = u32::try_from(charge.looks).unwrap_or(u32::MAX);
                let pause = ASK_AGAIN.spread(n, charge.id.uuid());
                let turn = charge.status.is_payable().then(|| next_turn(charge));
                let pause = turn.map_or(pause, |at| pause.min(until(at, charge.now)));
                (
                    Step::look_after(pause),
                    at_of(pause),
                    charge.looks.saturating_add(1),
                )
            }
            (status, _) if status.is_payable() => {
                let at = next_turn(charge);
                (Step::look_after(until(at, charge.now)), Some(at), 0)
            }
            (Status::Expired | Status::Canceled, _) => self.late_look(charge),
            _ => (Step::Done, None, 0),
        }
    }

    /// Late money: an expired or canceled charge is read a few more times.
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

/// After this an ended charge is no longer read at a gateway that does not answer.
fn is_long_over(charge: &Locked) -> bool {
    let ended = charge.cancel_requested_at.unwrap_or(charge.expires_at);
    ended.min(charge.expires_at) + delta(LATE_FOR) <= charge.now
}

/// The gateway never confirmed a hint: it is given up, and the merchant hears of it.
async fn give_up(
    db: &mut PgConnection,
    charge: &Locked,
    fact: &Fact,
) -> Result<Vec<Due>, StoreError> {
    tracing::error!(charge = %charge.id, connection = %fact.connection, event = fact.event, "the gateway does not confirm what a notification said");
    let message = format!(
        "a notification about the charge {} is not confirmed by the gateway: check that only the gateway knows the notification address",
        charge.id
    );
    attention::raise(db, fact.connection, "notification_unconfirmed", &message).await
}
