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
    PgConnection, Store, StoreError,
    attempts::{self, AttemptLease, AttemptOutcome, AttemptRow},
    charges::{self, LockedCharge},
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use uuid::Uuid;

use crate::retry::orphan::{LEASE, QUEUE_AGAIN, QUEUE_FOR};
use crate::{Activities, PollStep, Progress, delta, until};

mod close;
mod decide;
mod read;

/// Maximum number of objects voided in one step.
const VOIDS_AT_A_TIME: usize = 2;

/// Activity that an orphan's workflow calls.
pub struct OrphanActivities(pub Arc<Activities>);

#[activities]
impl OrphanActivities {
    /// Resolves an abandoned attempt: finds out whether it exists, and voids or adopts it.
    #[activity(name = "resolve_orphan")]
    pub async fn resolve(
        self: Arc<Self>,
        _ctx: ActivityContext,
        attempt: AttemptId,
    ) -> Result<Progress<PollStep>, ActivityError> {
        Ok(Box::pin(self.0.resolve_orphan(attempt)).await?)
    }
}

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
    Step(Progress<PollStep>),
}

impl Activities {
    /// Takes one step with an orphan.
    pub async fn resolve_orphan(&self, id: AttemptId) -> Result<Progress<PollStep>, StoreError> {
        let orphan = match Box::pin(self.lease_orphan(id)).await? {
            Ok(orphan) => orphan,
            Err(progress) => return Ok(progress),
        };
        let Some(_slot) = self.queue_for_orphan(&orphan).await? else {
            return Ok(Progress::unchanged(PollStep::wait(QUEUE_AGAIN)));
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
    async fn lease_orphan(
        &self,
        id: AttemptId,
    ) -> Result<Result<Orphan, Progress<PollStep>>, StoreError> {
        let done = Err(Progress::unchanged(PollStep::Done));
        let mut tx = self.store.begin().await?;
        let Some(charge) = attempts::charge_of(&mut tx, id).await? else {
            return Ok(done);
        };
        let Some(mut charge) = charges::lock(&mut tx, &self.store, charge).await? else {
            return Ok(done);
        };
        let Some(row) = charge.attempt(id).cloned() else {
            return Ok(done);
        };
        let row = &row;
        if row.lease_expires_at > charge.now {
            let pause = until(row.lease_expires_at, charge.now).max(Duration::from_secs(1));
            return Ok(Err(Progress::unchanged(PollStep::wait(pause))));
        }
        match row.state {
            // the charge's own workflow takes it over
            AttemptState::Open if charge.status == ChargeStatus::Processing => {
                drop(tx);
                self.wake_charge(charge.merchant, charge.id).await;
                return Ok(done);
            }
            AttemptState::Open if row.lease_owner.is_none() => {
                charge.close_unsent(id);
                charges::save(&mut tx, &mut charge).await?;
                tx.commit().await?;
                return Ok(done);
            }
            // its worker died, and the charge does not need it any more
            AttemptState::Open => {
                let abandoned = AttemptOutcome {
                    next_check_at: Some(charge.now),
                    ..AttemptOutcome::of(AttemptState::Abandoned)
                };
                charge.move_attempt(id, &abandoned);
            }
            AttemptState::Abandoned => {}
            _ if row.next_check_at.is_none() => return Ok(done),
            state if state.is_gone() => {
                charge.check_attempt(id, None, false);
                charges::save(&mut tx, &mut charge).await?;
                tx.commit().await?;
                return Ok(done);
            }
            _ => {}
        }
        let orphan = self.claim_orphan(&mut tx, &mut charge, row).await?;
        charges::save(&mut tx, &mut charge).await?;
        tx.commit().await?;
        Ok(Ok(orphan))
    }

    /// Claims the lease of a locked charge's attempt.
    async fn claim_orphan(
        &self,
        db: &mut PgConnection,
        charge: &mut LockedCharge,
        row: &AttemptRow,
    ) -> Result<Orphan, StoreError> {
        let (gateway, lookup) = self.reopen(db, row).await?;
        let order = self.order_of(db, row).await?;
        let lease_owner = store::new_id();
        let lease = AttemptLease {
            lease_owner: Some(lease_owner),
            deadline_at: row.deadline_at,
            expires_at: charge.now + delta(LEASE),
        };
        if let Some(row) = charge.attempt_mut(row.id) {
            row.claim(lease);
        }
        let capabilities = gateway.capabilities(charge.method);
        let visible_at = row.deadline_at + delta(capabilities.visibility_lag);
        let repeatable = matches!(row.state, AttemptState::Open | AttemptState::Abandoned)
            && capabilities
                .idempotent_for
                .is_some_and(|window| until(charge.now, row.started_at) < window);
        Ok(Orphan {
            charge: charge.id,
            attempt: row.id,
            lease_owner,
            repeatable,
            is_visible: visible_at <= charge.now,
            rejected: row.rejected_at.is_some(),
            checks: usize::try_from(row.checks).unwrap_or_default(),
            recorded: charge.payments.iter().map(|row| row.id).collect(),
            gateway,
            lookup,
            order,
        })
    }
}

/// Locks the charge and returns it with the orphan's row, if this worker still leases it.
async fn leased(
    db: &mut PgConnection,
    store: &Store,
    orphan: &Orphan,
) -> Result<Option<(LockedCharge, AttemptRow)>, StoreError> {
    let Some(charge) = charges::lock(db, store, orphan.charge).await? else {
        return Ok(None);
    };
    let mine = charge.attempt(orphan.attempt);
    let mine = mine.filter(|row| row.lease_owner == Some(orphan.lease_owner));
    let mine = mine.cloned();
    Ok(mine.map(|row| (charge, row)))
}
