//! Resolution of an orphan: an instrument that exists at a gateway is presented, paid or voided.
//!
//! The worker leases the attempt, calls the gateway outside of any transaction, and writes the decision to void under the charge's lock
//! before it voids. An instrument that is being voided is never adopted, and a crash resumes the void.

use std::{sync::Arc, time::Duration};

use gateways::{ChargeLookup, ChargeRequest, Gateway, GatewayCharge};
use schemas::{
    attempt::AttemptState,
    charge::ChargeStatus,
    id::{AttemptId, ChargeId, PaymentId},
};
use store::{
    PgConnection, StoreError,
    attempts::{self, AttemptLease, AttemptOutcome, AttemptRow},
    charges::{self, LockedCharge},
};
use uuid::Uuid;

use crate::{Activities, Progress, Step, charge::reversal, delta, until};

mod close;
mod decide;
mod read;

/// Maximum time of one step: a search, occupying the reference, a second search, and two cancellations.
const LEASE: Duration = Duration::from_mins(1);
/// Time that a step waits for a slot among the calls in flight.
const QUEUE_FOR: Duration = Duration::from_secs(5);
/// Pause of the workflow before it queues again.
const QUEUE_AGAIN: Duration = Duration::from_secs(5);
/// Maximum number of objects voided in one step.
const VOIDS_AT_A_TIME: usize = 2;

/// Attempt that this worker leases, and its gateway.
struct Orphan {
    charge: ChargeId,
    attempt: AttemptId,
    lease_owner: Uuid,
    gateway: Arc<dyn Gateway>,
    lookup: ChargeLookup,
    /// `None` if the payer was erased.
    order: Option<ChargeRequest>,
    /// True if creating under the reference again is harmless, and occupies it.
    repeatable: bool,
    /// True if no request of the attempt can take effect any more and all that it created is visible.
    is_visible: bool,
    rejected: bool,
    checks: usize,
    /// Payments that were recorded before the gateway is read.
    recorded: Vec<PaymentId>,
}

/// Decision about an orphan.
enum Decided {
    /// Void these objects, then write the result.
    Void(Vec<GatewayCharge>),
    Step(Progress),
}

impl Activities {
    /// Takes one step with an orphan.
    pub async fn resolve_orphan(&self, id: AttemptId) -> Result<Progress, StoreError> {
        let orphan = match Box::pin(self.lease_orphan(id)).await? {
            Ok(orphan) => orphan,
            Err(progress) => return Ok(progress),
        };
        let Some(_slot) = self.queue_for_orphan(&orphan).await? else {
            return Ok(Progress::unchanged(Step::check_after(QUEUE_AGAIN)));
        };
        let read = orphan.read().await;
        match Box::pin(self.decide(&orphan, read)).await? {
            Decided::Step(progress) => Ok(progress),
            Decided::Void(objects) => {
                let mut ended = Vec::new();
                // starts with other objects than last time: one that cannot be voided must not block the rest
                let first = orphan.checks.checked_rem(objects.len()).unwrap_or_default();
                let turn = objects.iter().cycle().skip(first);
                for object in turn.take(VOIDS_AT_A_TIME.min(objects.len())) {
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
        let slot = self.bulkhead.enter_within(row.api, row.merchant, QUEUE_FOR);
        let slot = slot.await;
        if slot.is_none() {
            let mut db = self.store.pool.acquire().await?;
            attempts::release(&mut db, orphan.attempt, orphan.lease_owner).await?;
        }
        Ok(slot)
    }

    /// Leases the attempt, or returns the progress if there is nothing to do now.
    async fn lease_orphan(&self, id: AttemptId) -> Result<Result<Orphan, Progress>, StoreError> {
        let done = Err(Progress::unchanged(Step::Done));
        let mut tx = self.store.begin().await?;
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
            return Ok(Err(Progress::unchanged(Step::check_after(pause))));
        }
        match row.state {
            // the charge's own workflow takes it over
            AttemptState::Open if charge.status == ChargeStatus::Processing => {
                drop(tx);
                self.starter.wake_charge(charge.merchant, charge.id).await;
                return Ok(done);
            }
            // its worker died, and the charge does not need it any more
            AttemptState::Open => {
                let abandoned = AttemptOutcome {
                    next_check_at: Some(charge.now),
                    ..AttemptOutcome::of(AttemptState::Abandoned)
                };
                attempts::transition(&mut tx, id, AttemptState::Open, &abandoned).await?;
            }
            AttemptState::Abandoned => {}
            _ if row.next_check_at.is_none() => return Ok(done),
            state if state.is_gone() => {
                attempts::set_next_check(&mut tx, id, None, false).await?;
                tx.commit().await?;
                return Ok(done);
            }
            _ => {}
        }
        let (gateway, lookup) = self.reopen(&mut tx, row).await?;
        let order = self.order_of(&mut tx, row).await?;
        let lease = AttemptLease {
            lease_owner: store::new_id(),
            deadline_at: row.deadline_at,
            expires_at: charge.now + delta(LEASE),
        };
        attempts::claim(&mut tx, id, row.lease_owner, lease).await?;
        let visible_at =
            row.deadline_at + delta(gateway.capabilities(charge.method).visibility_lag);
        let orphan = Orphan {
            charge: charge.id,
            attempt: id,
            lease_owner: lease.lease_owner,
            repeatable: matches!(row.state, AttemptState::Open | AttemptState::Abandoned)
                && gateway
                    .capabilities(charge.method)
                    .idempotent_for
                    .is_some_and(|window| until(charge.now, row.started_at) < window),
            is_visible: visible_at <= charge.now,
            rejected: row.rejected_at.is_some(),
            checks: usize::try_from(row.checks).unwrap_or_default(),
            recorded: reversal::recorded_payments(&mut tx, charge.id).await?,
            gateway,
            lookup,
            order,
        };
        tx.commit().await?;
        Ok(Ok(orphan))
    }
}

/// Locks the charge and returns it with the orphan's row, if this worker still leases it.
async fn leased(
    db: &mut PgConnection,
    orphan: &Orphan,
) -> Result<Option<(LockedCharge, AttemptRow)>, StoreError> {
    let Some(charge) = charges::lock(db, orphan.charge).await? else {
        return Ok(None);
    };
    let rows = attempts::of_charge(db, orphan.charge).await?;
    let mine = rows
        .into_iter()
        .find(|row| row.id == orphan.attempt && row.lease_owner == orphan.lease_owner);
    Ok(mine.map(|row| (charge, row)))
}
