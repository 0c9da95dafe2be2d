//! Closing what an attempt left behind: an instrument that exists at a gateway is presented, paid, or voided here.
//!
//! The gateway is asked and told under the charge's lock, so that nobody presents an object while it is being voided. That is a
//! long time to hold a row (a call's timeout), and rare.

use std::{sync::Arc, time::Duration};

use gateways::{ChargeLookup, ChargeOrder, Gateway, GatewayCharge, GatewayError};
use schemas::{attempt::State, charge::Status, id::AttemptId};
use store::{
    PgConnection, StoreError, attempts,
    attempts::Outcome,
    charges::{self, Locked},
};

use crate::{
    Activities, Step, attention,
    charge::{Applied, apply},
    delta, until,
};

/// How long occupying a reference may take.
const OCCUPY_WITHIN: Duration = Duration::from_secs(8);

/// What is reconciled, and where.
struct At<'a> {
    row: &'a attempts::Row,
    /// Whether the charge would show an instrument if it had one.
    wanted: bool,
    gateway: Arc<dyn Gateway>,
    lookup: ChargeLookup,
    /// None once the payer was erased.
    order: Option<ChargeOrder>,
}

/// How far a reconciliation came.
enum Found {
    /// Nothing unwanted exists under the reference, and nothing can come to exist.
    Settled,
    /// The gateway has nothing under the reference: it may appear yet.
    Nothing,
    /// The gateway could not be asked or told.
    Unanswered(GatewayError),
}

impl Activities {
    /// Looks once at what an attempt left behind.
    pub async fn reconcile_attempt(&self, id: AttemptId) -> Result<Step, StoreError> {
        let mut tx = self.store.pool.begin().await?;
        let Some(charge) = attempts::charge_of(&mut tx, id).await? else {
            return Ok(Step::Done);
        };
        let Some(mut charge) = charges::lock(&mut tx, charge).await? else {
            return Ok(Step::Done);
        };
        let rows = attempts::of_charge(&mut tx, charge.id).await?;
        let Some(row) = rows.iter().find(|row| row.id == id) else {
            return Ok(Step::Done);
        };
        if row.state == State::Open || (row.look_at.is_none() && row.state != State::Abandoned) {
            return Ok(Step::Done);
        }
        let before = charge.status;
        let (gateway, lookup) = self.reopen(&mut tx, row).await?;
        let order = self.order_of(&mut tx, row).await?;
        let mut applied = Applied::default();
        let at = At {
            row,
            wanted: wanted(&charge, &rows),
            gateway,
            lookup,
            order,
        };
        let found = self.clear(&mut tx, &mut charge, &at, &mut applied).await?;
        let step = self
            .conclude(&mut tx, &mut charge, (row, found), &mut applied)
            .await?;
        let waits = charge.status == Status::Processing && step == Step::Done;
        tx.commit().await?;
        applied.start(self, &charge);
        if charge.status != before || waits {
            self.starter.poke_charge(charge.merchant, charge.id).await;
        }
        Ok(step)
    }

    /// Goes through everything under the attempt's reference: money is received, one instrument is presented if the charge has
    /// none and still wants one, and every other one is voided.
    async fn clear(
        &self,
        db: &mut PgConnection,
        charge: &mut Locked,
        at: &At<'_>,
        applied: &mut Applied,
    ) -> Result<Found, StoreError> {
        let At {
            row,
            wanted,
            gateway,
            lookup,
            order,
        } = at;
        let mut found = match gateway.find(lookup).await {
            Ok(found) => found,
            Err(error) => return Ok(Found::Unanswered(error)),
        };
        if found.is_empty() && row.state == State::Abandoned {
            match occupy(gateway, order.as_ref(), charge, row).await {
                Some(Ok(occupied)) => found.push(occupied),
                Some(Err(error)) => return Ok(Found::Unanswered(error)),
                None => return Ok(Found::Nothing),
            }
        }
        let mut keep = (row.state == State::Presented)
            .then(|| row.gateway_charge_id.clone())
            .flatten();
        for object in found {
            if !object.payments.is_empty() {
                applied.extend(apply(self, db, charge, row.id, &object).await?);
                continue;
            }
            if keep.as_deref() == Some(object.id.as_str()) || !object.status.is_payable() {
                continue;
            }
            if keep.is_none() && *wanted && object.next_action.is_some() {
                keep = Some(object.id.clone());
                applied
                    .due
                    .extend(self.adopt(db, charge, row, &object).await?);
                continue;
            }
            match gateway.cancel(&object).await {
                Ok(ended) if !ended.payments.is_empty() => {
                    applied.extend(apply(self, db, charge, row.id, &ended).await?);
                }
                Ok(ended) if ended.status.is_payable() => {
                    let error = GatewayError::new(
                        schemas::attempt::ErrorClass::Unknown,
                        "still_payable",
                        "the gateway accepted the cancellation and still shows the charge as payable",
                    );
                    return Ok(Found::Unanswered(error));
                }
                Ok(_) => {
                    tracing::info!(attempt = %row.id, gateway = %row.gateway, "voided an orphan");
                }
                Err(error) => return Ok(Found::Unanswered(error)),
            }
        }
        Ok(Found::Settled)
    }

    /// Presents an abandoned instrument after all.
    async fn adopt(
        &self,
        db: &mut PgConnection,
        charge: &mut Locked,
        row: &attempts::Row,
        object: &GatewayCharge,
    ) -> Result<Vec<store::deliveries::Due>, StoreError> {
        let outcome = Outcome {
            gateway_charge_id: Some(object.id.clone()),
            next_action: object.next_action.clone(),
            ..Outcome::of(State::Presented)
        };
        attempts::shift(db, row.id, row.state, &outcome).await?;
        charges::set_look_at(db, charge.id, Some(charge.expires_at), 0).await?;
        tracing::info!(charge = %charge.id, attempt = %row.id, "presented an abandoned attempt after all");
        let due = charges::transition(db, &self.store, charge, Status::Pending, None).await?;
        Ok(due.unwrap_or_default())
    }

    /// Writes down how far it came, and when to look again.
    async fn conclude(
        &self,
        db: &mut PgConnection,
        charge: &mut Locked,
        (row, found): (&attempts::Row, Found),
        applied: &mut Applied,
    ) -> Result<Step, StoreError> {
        let now = self.state_of(db, charge, row.id).await?;
        let age = until(charge.now, row.deadline_at);
        match found {
            Found::Settled => {
                attempts::set_look_at(db, row.id, None, true).await?;
                attempts::shift(db, row.id, now, &Outcome::of(State::Voided)).await?;
                Ok(Step::Done)
            }
            Found::Nothing if age >= self.timing.absent_after => {
                attempts::shift(db, row.id, now, &Outcome::of(State::Absent)).await?;
                Ok(Step::Done)
            }
            Found::Nothing => self.again(db, charge, row, true).await,
            Found::Unanswered(error) if age >= self.timing.review_after => {
                attempts::set_look_at(db, row.id, None, false).await?;
                applied.due.extend(
                    attention::raise(db, row.connection, "attempt_unsettled", &error.message)
                        .await?,
                );
                if charge.status == Status::Processing {
                    let due =
                        charges::transition(db, &self.store, charge, Status::NeedsReview, None)
                            .await?;
                    charges::set_look_at(db, charge.id, None, 0).await?;
                    applied.due.extend(due.unwrap_or_default());
                }
                Ok(Step::Done)
            }
            Found::Unanswered(error) => {
                tracing::warn!(attempt = %row.id, gateway = %row.gateway, %error, "could not reconcile yet");
                self.again(db, charge, row, false).await
            }
        }
    }

    async fn again(
        &self,
        db: &mut PgConnection,
        charge: &Locked,
        row: &attempts::Row,
        searched: bool,
    ) -> Result<Step, StoreError> {
        let looks = usize::try_from(row.looks).unwrap_or(usize::MAX);
        let last = self
            .timing
            .reconcile
            .last()
            .copied()
            .unwrap_or(Duration::from_mins(1));
        let pause = self.timing.reconcile.get(looks).copied().unwrap_or(last);
        attempts::set_look_at(db, row.id, Some(charge.now + delta(pause)), searched).await?;
        Ok(Step::look_after(pause))
    }

    async fn state_of(
        &self,
        db: &mut PgConnection,
        charge: &Locked,
        id: AttemptId,
    ) -> Result<State, StoreError> {
        let rows = attempts::of_charge(db, charge.id).await?;
        Ok(rows
            .iter()
            .find(|row| row.id == id)
            .map_or(State::Abandoned, |row| row.state))
    }
}

/// Whether the charge would show an instrument if it had one: nothing else is shown, paid, or being tried.
fn wanted(charge: &Locked, rows: &[attempts::Row]) -> bool {
    let busy = rows
        .iter()
        .any(|row| matches!(row.state, State::Open | State::Presented | State::Paid));
    charge.status == Status::Processing
        && charge.cancel_requested_at.is_none()
        && charge.expires_at > charge.now
        && !busy
}

/// Where repeating is harmless, sends the order again: what then exists is known, and can be voided. `None` where it is not.
async fn occupy(
    gateway: &Arc<dyn Gateway>,
    order: Option<&ChargeOrder>,
    charge: &Locked,
    row: &attempts::Row,
) -> Option<Result<GatewayCharge, GatewayError>> {
    let window = gateway.idempotent_for(charge.method)?;
    if until(charge.now, row.started_at) >= window {
        return None;
    }
    Some(gateway.charge(order?, OCCUPY_WITHIN).await)
}
