//! The first transaction of an attempt that no worker has leased: plans and opens it, or claims an open one, before the first byte is sent.

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
    attempts::{AttemptLease, AttemptRow},
    charges::{self, LockedCharge},
    vault::VaultError,
};
use uuid::Uuid;

use super::plan::{Decision, Leasing, Planning, Reach};
use crate::retry::attempt::{LEASE, SLACK};
use crate::{Activities, Progress, Step, bulkhead::Slot, delta, until};

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
pub(crate) struct AttemptCall {
    pub charge: ChargeId,
    pub merchant: MerchantId,
    pub api: GatewayApi,
    pub attempt: AttemptId,
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
pub(crate) struct TakenOver {
    /// True if sending the same order again is harmless; otherwise the charge is only looked up.
    pub repeatable: bool,
    /// Time during which the first worker's call may still be in progress.
    pub first_call_left: Duration,
}

impl Activities {
    pub(super) async fn open_attempt(
        &self,
        id: ChargeId,
        call_slot: Option<CallSlot>,
    ) -> Result<NextStep, StoreError> {
        let mut tx = self.store.begin().await?;
        let Some(mut charge) = charges::lock(&mut tx, &self.store, id).await? else {
            return Ok(NextStep::Step(Progress::unchanged(Step::Done)));
        };
        if charge.status != ChargeStatus::Processing {
            return Ok(NextStep::Step(Progress::unchanged(Step::SYNC)));
        }
        let open = charge
            .attempts
            .iter()
            .find(|a| a.state == AttemptState::Open);
        let (unsent, leased) = match open.cloned() {
            Some(open) if open.lease_owner.is_none() => (Some(open), None),
            other => (None, other),
        };
        if let Some(open) = leased {
            let next = self
                .take_over(&mut tx, &mut charge, &open, call_slot)
                .await?;
            charges::save(&mut tx, &mut charge).await?;
            tx.commit().await?;
            return Ok(next);
        }
        if let Some(ended) = ended(&charge) {
            if let Some(open) = unsent {
                charge.close_unsent(open.id);
            }
            return self.end_unpresented(tx, charge, ended).await;
        }
        let mut planning = Planning {
            reach: Reach::All,
            leasing: Leasing::Now,
            call_slot,
        };
        let claimed = match unsent {
            Some(open) => {
                self.claim_unsent(&mut tx, &mut charge, &open, &mut planning)
                    .await?
            }
            None => None,
        };
        let decision = match claimed {
            Some(decision) => decision,
            None => {
                self.plan_attempt(&mut tx, &mut charge, &mut planning)
                    .await?
            }
        };
        let next = match decision {
            Decision::Call(call) => NextStep::Call(call),
            Decision::Queue(api) => NextStep::Queue(api, charge.merchant),
            Decision::Left => NextStep::Step(Progress::changed(Step::ATTEMPT)),
            Decision::Wait(pause) => {
                let pause = pause.min(until(charge.expires_at, charge.now));
                charge.set_next_check(Some(charge.now + delta(pause)), charge.checks);
                NextStep::Step(Progress::unchanged(Step::attempt_after(pause)))
            }
            Decision::Fail(failure) => {
                charge.transition(ChargeStatus::Failed, Some(&failure))?;
                charge.set_next_check(None, charge.checks);
                NextStep::Step(Progress::changed(Step::SYNC))
            }
        };
        let due = charges::save(&mut tx, &mut charge).await?;
        tx.commit().await?;
        self.starter.start_deliveries(due);
        Ok(next)
    }

    /// Ends a charge that was canceled or expired before any gateway has it.
    async fn end_unpresented(
        &self,
        mut tx: store::Tx,
        mut charge: LockedCharge,
        ended: ChargeStatus,
    ) -> Result<NextStep, StoreError> {
        charge.transition(ended, None)?;
        let was_tried = charge.attempts.iter().any(AttemptRow::is_try);
        let late = self.timing.late_checks.first().filter(|_| was_tried);
        charge.set_next_check(late.map(|pause| charge.now + delta(*pause)), 0);
        let due = charges::save(&mut tx, &mut charge).await?;
        tx.commit().await?;
        self.starter.start_deliveries(due);
        Ok(NextStep::Step(Progress::changed(Step::SYNC)))
    }

    /// Claims an open attempt of which nothing was sent, if it is still the first step of the plan. Otherwise closes it and returns `None`:
    /// the caller plans again.
    async fn claim_unsent(
        &self,
        db: &mut PgConnection,
        charge: &mut LockedCharge,
        open: &AttemptRow,
        planning: &mut Planning,
    ) -> Result<Option<Decision>, StoreError> {
        let order = self.order_of(db, open).await?.ok_or(VaultError::Erased)?;
        let Some((gateway, within)) = self.still_planned(db, charge, open).await? else {
            tracing::info!(charge = %charge.id, attempt = %open.id, "the plan changed before the attempt was sent");
            charge.close_unsent(open.id);
            return Ok(None);
        };
        let Some(slot) = self.call_slot(planning.call_slot.take(), open.api, charge.merchant)
        else {
            return Ok(Some(Decision::Queue(open.api)));
        };
        let lease = self.lease(charge.now, within);
        if let Some(row) = charge.attempt_mut(open.id) {
            row.claim(lease);
        }
        let call = attempt_call(
            open,
            lease,
            Opened {
                gateway,
                order,
                slot,
            },
        );
        Ok(Some(Decision::Call(Box::new(AttemptCall {
            within,
            ..call
        }))))
    }

    /// Takes over an open attempt of another worker, once its lease has expired: that worker died, is paused, or is still calling.
    async fn take_over(
        &self,
        db: &mut PgConnection,
        charge: &mut LockedCharge,
        open: &AttemptRow,
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
        if let Some(row) = charge.attempt_mut(open.id) {
            row.claim(lease);
        }
        tracing::info!(charge = %open.charge, attempt = %open.id, "took over an open attempt");
        let call = attempt_call(
            open,
            lease,
            Opened {
                gateway,
                order,
                slot,
            },
        );
        Ok(NextStep::Call(Box::new(AttemptCall {
            within,
            taken_over: Some(TakenOver {
                repeatable,
                first_call_left: until(open.deadline_at, charge.now),
            }),
            ..call
        })))
    }

    /// Returns a new lease on an attempt for a call of at most `within`.
    pub(super) fn lease(&self, now: Instant, within: Duration) -> AttemptLease {
        AttemptLease {
            lease_owner: Some(store::new_id()),
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

/// All that a call needs beside the attempt's row.
struct Opened {
    gateway: Arc<dyn Gateway>,
    order: ChargeRequest,
    slot: Slot,
}

/// Returns the call of an attempt that this worker has just leased.
fn attempt_call(open: &AttemptRow, lease: AttemptLease, opened: Opened) -> AttemptCall {
    AttemptCall {
        charge: open.charge,
        merchant: open.merchant,
        api: open.api,
        attempt: open.id,
        connection: open.connection,
        reason: open.reason,
        lease_owner: lease.lease_owner.unwrap_or_default(),
        gateway: opened.gateway,
        order: opened.order,
        within: Duration::ZERO,
        taken_over: None,
        leased: outside::instant(),
        _slot: opened.slot,
    }
}

/// Returns the final status of a charge that was canceled or expired before any gateway has it.
pub(super) fn ended(charge: &LockedCharge) -> Option<ChargeStatus> {
    if charge.cancel_requested_at.is_some() {
        Some(ChargeStatus::Canceled)
    } else if charge.expires_at <= charge.now {
        Some(ChargeStatus::Expired)
    } else {
        None
    }
}
