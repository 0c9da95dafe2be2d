//! The first transaction of an attempt: plans and opens it before the first byte is sent.

use std::{sync::Arc, time::Duration};

use gateways::{ChargeRequest, Gateway, outside};
use schemas::{
    Instant,
    attempt::AttemptState,
    charge::ChargeStatus,
    gateway::GatewayApi,
    id::{AttemptId, ChargeId, ConnectionId, MerchantId},
    route::RouteReason,
};
use store::{
    PgConnection, StoreError,
    attempts::{self, AttemptLease},
    charges,
    vault::VaultError,
};
use uuid::Uuid;

use super::plan::Decision;
use crate::{Activities, Progress, Step, bulkhead::Slot, delta, until};

/// Time between the end of a call and its attempt's deadline, to write the outcome.
pub(super) const SLACK: Duration = Duration::from_secs(2);
/// Lifetime of a lease without renewal: three missed renewals.
pub(super) const LEASE: Duration = Duration::from_secs(6);

/// Slot for a call to a gateway's API.
pub(super) type CallSlot = (GatewayApi, Slot);

/// Decision of the first transaction.
pub(super) enum NextStep {
    /// There is nothing to call.
    Step(Progress),
    /// The share of this API is used up: wait for a slot and plan again.
    Queue(GatewayApi, MerchantId),
    /// The row is committed: make the call.
    Call(Box<AttemptCall>),
}

/// Call to make for an attempt that this worker leases.
pub(super) struct AttemptCall {
    pub charge: ChargeId,
    pub api: GatewayApi,
    pub attempt: AttemptId,
    pub n: i32,
    pub connection: ConnectionId,
    pub reason: RouteReason,
    pub lease_owner: Uuid,
    pub gateway: Arc<dyn Gateway>,
    pub order: ChargeRequest,
    pub within: Duration,
    pub taken_over: Option<TakenOver>,
    pub leased: tokio::time::Instant,
    /// Held until the outcome is written.
    pub _slot: Slot,
}

/// Takeover of an attempt that another worker may have sent already: no error of this worker's call is definite.
#[derive(Clone, Copy, Debug)]
pub(super) struct TakenOver {
    /// True if sending the same order again is harmless; otherwise the charge is only looked up.
    pub repeatable: bool,
    /// Time during which the first worker's call may still be in progress.
    pub first_call_left: Duration,
}

impl Activities {
    pub(super) async fn open_attempt(
        &self,
        id: ChargeId,
        mut call_slot: Option<CallSlot>,
    ) -> Result<NextStep, StoreError> {
        let mut tx = self.store.begin().await?;
        let Some(mut charge) = charges::lock(&mut tx, id).await? else {
            return Ok(NextStep::Step(Progress::unchanged(Step::Done)));
        };
        if charge.status != ChargeStatus::Processing {
            return Ok(NextStep::Step(Progress::unchanged(Step::SYNC)));
        }
        let earlier = attempts::of_charge(&mut tx, id).await?;
        if let Some(open) = earlier.iter().find(|a| a.state == AttemptState::Open) {
            let next = self.take_over(&mut tx, &charge, open, call_slot).await?;
            tx.commit().await?;
            return Ok(next);
        }
        if let Some(ended) = ended(&charge) {
            let due = charges::transition(&mut tx, &self.store, &mut charge, ended, None).await?;
            let late = self
                .timing
                .late_checks
                .first()
                .filter(|_| !earlier.is_empty());
            let next_check_at = late.map(|pause| charge.now + delta(*pause));
            charges::set_next_check(&mut tx, id, next_check_at, 0).await?;
            tx.commit().await?;
            self.starter.start_deliveries(due.unwrap_or_default());
            return Ok(NextStep::Step(Progress::changed(Step::SYNC)));
        }
        let decision = self
            .plan_attempt(&mut tx, &charge, &earlier, &mut call_slot)
            .await?;
        let next = match decision {
            Decision::Call(call) => NextStep::Call(call),
            Decision::Queue(api) => return Ok(NextStep::Queue(api, charge.merchant)),
            Decision::Wait(pause) => {
                let pause = pause.min(until(charge.expires_at, charge.now));
                let next_check_at = Some(charge.now + delta(pause));
                charges::set_next_check(&mut tx, id, next_check_at, charge.checks).await?;
                NextStep::Step(Progress::unchanged(Step::attempt_after(pause)))
            }
            Decision::Fail(failure) => {
                let failed = ChargeStatus::Failed;
                let due =
                    charges::transition(&mut tx, &self.store, &mut charge, failed, Some(&failure))
                        .await?;
                charges::set_next_check(&mut tx, id, None, charge.checks).await?;
                tx.commit().await?;
                self.starter.start_deliveries(due.unwrap_or_default());
                return Ok(NextStep::Step(Progress::changed(Step::SYNC)));
            }
        };
        tx.commit().await?;
        Ok(next)
    }

    /// Takes over an open attempt of another worker, once its lease has expired: that worker died, is paused, or is still calling.
    async fn take_over(
        &self,
        db: &mut PgConnection,
        charge: &charges::LockedCharge,
        open: &attempts::AttemptRow,
        call_slot: Option<CallSlot>,
    ) -> Result<NextStep, StoreError> {
        let (gateway, _) = self.reopen(db, open).await?;
        let order = self.order_of(db, open).await?.ok_or(VaultError::Erased)?;
        let age = until(charge.now, open.started_at);
        let repeatable = gateway
            .capabilities(charge.method)
            .idempotent_for
            .is_some_and(|window| age < window);
        let visible_at =
            open.deadline_at + delta(gateway.capabilities(charge.method).visibility_lag);
        let free_at = if repeatable {
            open.lease_expires_at
        } else {
            open.lease_expires_at.max(visible_at)
        };
        if charge.now < free_at {
            let pause = until(free_at, charge.now);
            return Ok(NextStep::Step(Progress::unchanged(Step::attempt_after(
                pause,
            ))));
        }
        let Some(slot) = self.call_slot(call_slot, open.api, charge.merchant) else {
            return Ok(NextStep::Queue(open.api, charge.merchant));
        };
        let within = self.timing.call;
        let mut lease = self.lease(charge.now, within);
        if !repeatable {
            lease.deadline_at = open.deadline_at;
        }
        if !attempts::claim(db, open.id, open.lease_owner, lease).await? {
            return Ok(NextStep::Step(Progress::unchanged(Step::ATTEMPT)));
        }
        tracing::info!(charge = %open.charge, attempt = %open.id, "took over an open attempt");
        Ok(NextStep::Call(Box::new(AttemptCall {
            charge: open.charge,
            api: open.api,
            attempt: open.id,
            n: open.n,
            connection: open.connection,
            reason: open.reason,
            lease_owner: lease.lease_owner,
            gateway,
            order,
            within,
            taken_over: Some(TakenOver {
                repeatable,
                first_call_left: until(open.deadline_at, charge.now),
            }),
            leased: outside::instant(),
            _slot: slot,
        })))
    }

    /// Returns a new lease on an attempt for a call of at most `within`.
    pub(super) fn lease(&self, now: Instant, within: Duration) -> AttemptLease {
        AttemptLease {
            lease_owner: store::new_id(),
            deadline_at: now + delta(within + self.timing.resolve + SLACK),
            expires_at: now + delta(LEASE),
        }
    }

    /// Returns the slot that the caller queued for if it belongs to this API, else a free one.
    pub(super) fn call_slot(
        &self,
        call_slot: Option<CallSlot>,
        api: GatewayApi,
        merchant: MerchantId,
    ) -> Option<Slot> {
        match call_slot {
            Some((held, slot)) if held == api => Some(slot),
            _ => self.bulkhead.try_enter(api, merchant),
        }
    }
}

/// Returns the final status of a charge that was canceled or expired before any gateway has it.
fn ended(charge: &charges::LockedCharge) -> Option<ChargeStatus> {
    if charge.cancel_requested_at.is_some() {
        Some(ChargeStatus::Canceled)
    } else if charge.expires_at <= charge.now {
        Some(ChargeStatus::Expired)
    } else {
        None
    }
}
