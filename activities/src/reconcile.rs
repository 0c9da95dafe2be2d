//! Resolving an orphan: an instrument that exists at a gateway is presented, paid, or voided here.
//!
//! The worker leases the attempt, calls the gateway outside of any transaction, and writes the decision to void under the charge's
//! lock before it voids: what is being voided is never adopted, and a crash resumes the void.

use std::{sync::Arc, time::Duration};

use gateways::{ChargeLookup, ChargeOrder, Gateway, GatewayCharge, GatewayError};
use schemas::{
    attempt::{ErrorClass, State},
    charge::Status,
    id::{AttemptId, ChargeId},
    retry::jitter,
};
use store::{
    PgConnection, StoreError,
    attempts::{self, Lease, Outcome, Row},
    charges::{self, Locked},
};
use uuid::Uuid;

use crate::{
    Activities, Progress, Step, attention,
    charge::{Applied, apply, look::next_turn, reversal},
    delta, until,
};

/// How long creating under the reference once more may take, which occupies it.
const OCCUPY_WITHIN: Duration = Duration::from_secs(8);
/// How long one step may be at it: a search, occupying, a second search, and two cancellations.
const LEASE: Duration = Duration::from_mins(1);
/// How long a step waits for a place among the calls in flight.
const QUEUE_FOR: Duration = Duration::from_secs(5);
/// How long the workflow waits before it queues again.
const QUEUE_AGAIN: Duration = Duration::from_secs(5);
/// The most objects that are voided in one step.
const VOIDS_AT_A_TIME: usize = 2;
/// After so many voids of something that came back, a person must know.
const VOIDS_BEFORE_REVIEW: i32 = 3;
/// Once the merchant was alerted, an orphan is searched for at this interval.
const SLOW: Duration = Duration::from_hours(24);
/// For how long.
const KEEP: Duration = Duration::from_hours(180 * 24);

/// An attempt that this worker leases, and its gateway.
struct Orphan {
    charge: ChargeId,
    attempt: AttemptId,
    runner: Uuid,
    gateway: Arc<dyn Gateway>,
    lookup: ChargeLookup,
    /// `None` once the payer was erased.
    order: Option<ChargeOrder>,
    /// Creating under the reference once more is harmless, and occupies it.
    repeatable: bool,
    /// No request of the attempt can take effect any more, and what it created is visible.
    settled: bool,
    rejected: bool,
}

/// The state of the gateway under the attempt's reference.
enum Read {
    Objects(Vec<GatewayCharge>),
    /// Nothing is there, and nothing can come to exist: creating it was definitely rejected.
    Rejected,
    /// Nothing is there; it may appear.
    Nothing,
    Unanswered(GatewayError),
}

/// What is decided about an orphan.
enum Decided {
    /// Void these, then write how that went.
    Void(Vec<GatewayCharge>),
    Step(Progress),
}

impl Activities {
    /// Takes one step with an orphan.
    pub async fn reconcile_attempt(&self, id: AttemptId) -> Result<Progress, StoreError> {
        let orphan = match Box::pin(self.lease_orphan(id)).await? {
            Ok(orphan) => orphan,
            Err(progress) => return Ok(progress),
        };
        let Some(_slot) = self.queue_for_orphan(&orphan).await? else {
            return Ok(Progress::unchanged(Step::look_after(QUEUE_AGAIN)));
        };
        let read = orphan.read().await;
        match Box::pin(self.decide(&orphan, read)).await? {
            Decided::Step(progress) => Ok(progress),
            Decided::Void(objects) => {
                let mut ended = Vec::new();
                for object in objects.iter().take(VOIDS_AT_A_TIME) {
                    ended.push(orphan.gateway.cancel(object).await);
                }
                let all = objects.len() <= VOIDS_AT_A_TIME;
                Box::pin(self.conclude_void(&orphan, ended, all)).await
            }
        }
    }

    async fn queue_for_orphan(
        &self,
        orphan: &Orphan,
    ) -> Result<Option<crate::bulkhead::Slot>, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let about = attempts::of_charge(&mut db, orphan.charge).await?;
        drop(db);
        let Some(row) = about.iter().find(|row| row.id == orphan.attempt) else {
            return Ok(None);
        };
        let slot = self
            .bulkhead
            .enter_within(row.family, row.merchant, QUEUE_FOR);
        let slot = slot.await;
        if slot.is_none() {
            let mut db = self.store.pool.acquire().await?;
            attempts::release(&mut db, orphan.attempt, orphan.runner).await?;
        }
        Ok(slot)
    }

    /// Leases the attempt, or says why there is nothing to do now.
    async fn lease_orphan(&self, id: AttemptId) -> Result<Result<Orphan, Progress>, StoreError> {
        let done = Err(Progress::unchanged(Step::Done));
        let mut tx = self.store.pool.begin().await?;
        let Some(charge) = attempts::charge_of(&mut tx, id).await? else {
            return Ok(done);
        };
        let Some(charge) = charges::lock(&mut tx, charge).await? else {
            return Ok(done);
        };
        let rows = attempts::of_charge(&mut tx, charge.id).await?;
        let Some(row) = rows.iter().find(|row| row.id == id) else {
            return Ok(done);
        };
        if row.lease_expires_at > charge.now {
            let pause = until(row.lease_expires_at, charge.now).max(Duration::from_secs(1));
            return Ok(Err(Progress::unchanged(Step::look_after(pause))));
        }
        match row.state {
            // the charge's own workflow takes it over
            State::Open if charge.status == Status::Processing => {
                drop(tx);
                self.starter.poke_charge(charge.merchant, charge.id).await;
                return Ok(done);
            }
            // its worker died, and the charge needs it no more
            State::Open => {
                let abandoned = Outcome {
                    look_at: Some(charge.now),
                    ..Outcome::of(State::Abandoned)
                };
                attempts::shift(&mut tx, id, State::Open, &abandoned).await?;
            }
            State::Abandoned => {}
            _ if row.look_at.is_none() => return Ok(done),
            state if state.is_gone() => {
                attempts::set_look_at(&mut tx, id, None, false).await?;
                tx.commit().await?;
                return Ok(done);
            }
            _ => {}
        }
        let (gateway, lookup) = self.reopen(&mut tx, row).await?;
        let order = self.order_of(&mut tx, row).await?;
        let lease = Lease {
            runner: store::new_id(),
            deadline_at: row.deadline_at,
            expires_at: charge.now + delta(LEASE),
        };
        attempts::take(&mut tx, id, row.runner, lease).await?;
        let visible_at = row.deadline_at + delta(gateway.visibility_lag(charge.method));
        let orphan = Orphan {
            charge: charge.id,
            attempt: id,
            runner: lease.runner,
            repeatable: matches!(row.state, State::Open | State::Abandoned)
                && gateway
                    .idempotent_for(charge.method)
                    .is_some_and(|window| until(charge.now, row.started_at) < window),
            settled: visible_at <= charge.now,
            rejected: row.rejected_at.is_some(),
            gateway,
            lookup,
            order,
        };
        tx.commit().await?;
        Ok(Ok(orphan))
    }

    /// Applies what the gateway has, adopts an instrument that the charge still wants, and decides what must be voided.
    async fn decide(&self, orphan: &Orphan, read: Read) -> Result<Decided, StoreError> {
        let mut tx = self.store.pool.begin().await?;
        let Some((mut charge, rows, row)) = leased(&mut tx, orphan).await? else {
            return Ok(Decided::Step(Progress::unchanged(Step::LOOK)));
        };
        let before = charge.status;
        let mut applied = Applied::default();
        let mut unwanted = Vec::new();
        let progress = match read {
            Read::Objects(objects) => {
                let wanted = wanted(&charge, &rows) && !row.voiding;
                unwanted = self
                    .sort(&mut tx, &mut charge, (&row, objects, wanted), &mut applied)
                    .await?;
                if unwanted.is_empty() {
                    self.close_orphan(&mut tx, &charge, orphan, State::Voided)
                        .await?;
                    Progress::changed(Step::Done)
                } else {
                    self.decide_to_void(&mut tx, &mut charge, &row, &mut applied)
                        .await?;
                    Progress::changed(Step::LOOK)
                }
            }
            Read::Rejected if orphan.settled => {
                self.close_orphan(&mut tx, &charge, orphan, State::Absent)
                    .await?;
                Progress::changed(Step::Done)
            }
            Read::Rejected => {
                attempts::set_rejected(&mut tx, row.id).await?;
                self.again(&mut tx, &charge, &row, true).await?
            }
            Read::Nothing => {
                self.search_on(&mut tx, &mut charge, (&row, None), &mut applied)
                    .await?
            }
            Read::Unanswered(error) => {
                self.search_on(&mut tx, &mut charge, (&row, Some(error)), &mut applied)
                    .await?
            }
        };
        if unwanted.is_empty() {
            attempts::release(&mut tx, orphan.attempt, orphan.runner).await?;
        }
        tx.commit().await?;
        let waits = charge.status == Status::Processing && progress.step == Step::Done;
        applied.start(self, &charge);
        if charge.status != before || waits {
            self.starter.poke_charge(charge.merchant, charge.id).await;
        }
        Ok(if unwanted.is_empty() {
            Decided::Step(progress)
        } else {
            Decided::Void(unwanted)
        })
    }

    /// Money is received, one instrument is presented if the charge has none and still wants one, and the rest is returned.
    async fn sort(
        &self,
        db: &mut PgConnection,
        charge: &mut Locked,
        (row, objects, wanted): (&Row, Vec<GatewayCharge>, bool),
        applied: &mut Applied,
    ) -> Result<Vec<GatewayCharge>, StoreError> {
        let about = (row.id, objects.as_slice());
        reversal::reverse(self, db, charge, about, applied).await?;
        let mut keep = (row.state == State::Presented)
            .then(|| row.gateway_charge_id.clone())
            .flatten();
        let mut unwanted = Vec::new();
        for object in objects {
            if !object.payments.is_empty() {
                applied.extend(apply(self, db, charge, row.id, &object).await?);
            } else if !object.status.is_payable() || keep.as_deref() == Some(object.id.as_str()) {
            } else if keep.is_none() && wanted && object.next_action.is_some() {
                let presented = self.adopt(db, charge, row, &object).await?;
                if let Some(due) = presented {
                    keep = Some(object.id.clone());
                    applied.due.extend(due);
                } else {
                    unwanted.push(object);
                }
            } else {
                unwanted.push(object);
            }
        }
        Ok(unwanted)
    }

    /// Presents an abandoned instrument after all. `None`: the tables do not allow it.
    async fn adopt(
        &self,
        db: &mut PgConnection,
        charge: &mut Locked,
        row: &Row,
        object: &GatewayCharge,
    ) -> Result<Option<Vec<store::deliveries::Due>>, StoreError> {
        if !charge.status.may_become(Status::Pending) {
            return Ok(None);
        }
        let outcome = Outcome {
            gateway_charge_id: Some(object.id.clone()),
            next_action: object.next_action.clone(),
            ..Outcome::of(State::Presented)
        };
        if !attempts::shift(db, row.id, State::Abandoned, &outcome).await? {
            return Ok(None);
        }
        charges::set_look_at(db, charge.id, Some(next_turn(charge)), 0).await?;
        tracing::info!(charge = %charge.id, attempt = %row.id, "presented an abandoned attempt after all");
        charges::transition(db, &self.store, charge, Status::Pending, None).await
    }

    /// Writes the decision to void before the calls that do it. Something that comes back again and again needs a person.
    async fn decide_to_void(
        &self,
        db: &mut PgConnection,
        charge: &mut Locked,
        row: &Row,
        applied: &mut Applied,
    ) -> Result<(), StoreError> {
        attempts::set_voiding(db, row.id).await?;
        if row.voids + 1 != VOIDS_BEFORE_REVIEW {
            return Ok(());
        }
        let message = format!(
            "the charge {} was made payable at the gateway again and again after it was voided: find out who restores it",
            charge.id
        );
        let due = attention::raise(db, row.connection, "instrument_restored", &message).await?;
        applied.due.extend(due);
        if matches!(
            charge.status,
            Status::Expired | Status::Canceled | Status::Failed
        ) {
            let review = Status::NeedsReview;
            let due = charges::transition(db, &self.store, charge, review, None).await?;
            applied.due.extend(due.unwrap_or_default());
        }
        Ok(())
    }

    /// Writes how voiding went. Whatever was paid meanwhile wins.
    async fn conclude_void(
        &self,
        orphan: &Orphan,
        ended: Vec<Result<GatewayCharge, GatewayError>>,
        all: bool,
    ) -> Result<Progress, StoreError> {
        let mut tx = self.store.pool.begin().await?;
        let Some((mut charge, _, row)) = leased(&mut tx, orphan).await? else {
            return Ok(Progress::unchanged(Step::LOOK));
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
                self.close_orphan(&mut tx, &charge, orphan, State::Voided)
                    .await?;
                Progress::changed(Step::Done)
            }
            None => {
                attempts::set_look_at(&mut tx, row.id, Some(charge.now), true).await?;
                Progress::changed(Step::LOOK)
            }
        };
        attempts::release(&mut tx, orphan.attempt, orphan.runner).await?;
        tx.commit().await?;
        let waits = charge.status == Status::Processing && progress.step == Step::Done;
        applied.start(self, &charge);
        if charge.status != before || waits {
            self.starter.poke_charge(charge.merchant, charge.id).await;
        }
        Ok(progress)
    }

    /// Nothing unwanted is left. Only what is still an orphan becomes `state`: what was presented or paid stays.
    async fn close_orphan(
        &self,
        db: &mut PgConnection,
        charge: &Locked,
        orphan: &Orphan,
        state: State,
    ) -> Result<(), StoreError> {
        let rows = attempts::of_charge(db, charge.id).await?;
        let now = rows.iter().find(|row| row.id == orphan.attempt);
        if now.is_some_and(|row| row.state == State::Abandoned) {
            attempts::shift(db, orphan.attempt, State::Abandoned, &Outcome::of(state)).await?;
        } else {
            attempts::set_look_at(db, orphan.attempt, None, true).await?;
        }
        Ok(())
    }

    /// Nothing was found, or the gateway did not answer: when to search again. After long enough a person must know.
    async fn search_on(
        &self,
        db: &mut PgConnection,
        charge: &mut Locked,
        (row, error): (&Row, Option<GatewayError>),
        applied: &mut Applied,
    ) -> Result<Progress, StoreError> {
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
                |error| format!("the gateway does not answer what became of an attempt: {}", error.message),
            );
            let due = attention::raise(db, row.connection, "attempt_unsettled", &message).await?;
            applied.due.extend(due);
            if charge.status == Status::Processing {
                let review = Status::NeedsReview;
                let due = charges::transition(db, &self.store, charge, review, None).await?;
                charges::set_look_at(db, charge.id, None, 0).await?;
                applied.due.extend(due.unwrap_or_default());
            }
        }
        if age >= KEEP {
            attempts::set_look_at(db, row.id, None, false).await?;
            return Ok(Progress::changed(Step::Done));
        }
        let pause = SLOW + jitter(row.id.uuid(), SLOW / 8);
        attempts::set_look_at(db, row.id, Some(charge.now + delta(pause)), false).await?;
        Ok(Progress::changed(Step::look_after(pause)))
    }

    async fn again(
        &self,
        db: &mut PgConnection,
        charge: &Locked,
        row: &Row,
        searched: bool,
    ) -> Result<Progress, StoreError> {
        let looks = usize::try_from(row.looks).unwrap_or(usize::MAX);
        let schedule = &self.timing.reconcile;
        let last = schedule.last().copied().unwrap_or(Duration::from_mins(1));
        let pause = schedule.get(looks).copied().unwrap_or(last);
        let pause = pause + jitter(row.id.uuid(), pause / 8);
        attempts::set_look_at(db, row.id, Some(charge.now + delta(pause)), searched).await?;
        Ok(Progress::changed(Step::look_after(pause)))
    }
}

impl Orphan {
    /// Reads what is under the reference; where that is harmless, creates under it once more, so that what exists is known.
    async fn read(&self) -> Read {
        let found = self.gateway.find(&self.lookup).await;
        match found {
            Ok(objects) if !objects.is_empty() => Read::Objects(objects),
            Ok(_) if self.rejected => Read::Rejected,
            found => match &self.order {
                Some(order) if self.repeatable => self.occupy(order).await,
                _ => found.map_or_else(Read::Unanswered, |_| Read::Nothing),
            },
        }
    }

    async fn occupy(&self, order: &ChargeOrder) -> Read {
        match self.gateway.charge(order, OCCUPY_WITHIN).await {
            Ok(object) => Read::Objects(vec![object]),
            Err(error) if matches!(error.class, ErrorClass::Refused | ErrorClass::Declined) => {
                match self.gateway.find(&self.lookup).await {
                    Ok(objects) if objects.is_empty() => Read::Rejected,
                    Ok(objects) => Read::Objects(objects),
                    Err(error) => Read::Unanswered(error),
                }
            }
            Err(error) => Read::Unanswered(error),
        }
    }
}

/// The charge under its lock with its attempts, and the orphan's row, if it is still leased to this worker.
async fn leased(
    db: &mut PgConnection,
    orphan: &Orphan,
) -> Result<Option<(Locked, Vec<Row>, Row)>, StoreError> {
    let Some(charge) = charges::lock(db, orphan.charge).await? else {
        return Ok(None);
    };
    let rows = attempts::of_charge(db, orphan.charge).await?;
    let mine = rows
        .iter()
        .find(|row| row.id == orphan.attempt && row.runner == orphan.runner)
        .cloned();
    Ok(mine.map(|row| (charge, rows, row)))
}

/// Whether the charge would show an instrument if it had one: nothing else is shown, paid, or being tried.
fn wanted(charge: &Locked, rows: &[Row]) -> bool {
    let busy = rows
        .iter()
        .any(|row| matches!(row.state, State::Open | State::Presented | State::Paid));
    charge.status == Status::Processing
        && charge.cancel_requested_at.is_none()
        && charge.expires_at > charge.now
        && !busy
}

fn still_payable() -> GatewayError {
    GatewayError::new(
        ErrorClass::Unknown,
        "still_payable",
        "the gateway accepted the cancellation and still shows the charge as payable",
    )
}
