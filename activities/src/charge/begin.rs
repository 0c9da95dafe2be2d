//! The first transaction of an attempt: it is planned and opened before a byte is sent.

use std::{sync::Arc, time::Duration};

use gateways::{ChargeOrder, Gateway, outside};
use schemas::{
    Instant,
    attempt::State,
    charge::Status,
    gateway::ApiFamily,
    id::{AttemptId, ChargeId, ConnectionId, MerchantId},
    route::Reason,
};
use store::{
    PgConnection, StoreError,
    attempts::{self, Lease},
    charges,
    vault::VaultError,
};
use uuid::Uuid;

use super::choose::Chosen;
use crate::{Activities, Progress, Step, bulkhead::Slot, delta, until};

/// Between a call's end and its attempt's deadline: time to write its outcome.
pub(super) const SLACK: Duration = Duration::from_secs(2);
/// How long a lease lasts without renewal: three missed renewals.
pub(super) const LEASE: Duration = Duration::from_secs(6);

/// A place among the calls in flight to a gateway's API.
pub(super) type Seat = (ApiFamily, Slot);

/// What the first transaction decided.
pub(super) enum Begun {
    /// Nothing to call.
    Step(Progress),
    /// The share of this API is in use: wait for a place, and plan again.
    Queue(ApiFamily, MerchantId),
    /// The row is committed: make the call.
    Call(Box<Call>),
}

/// A call to make for an attempt that this worker leases.
pub(super) struct Call {
    pub charge: ChargeId,
    pub family: ApiFamily,
    pub attempt: AttemptId,
    pub n: i32,
    pub connection: ConnectionId,
    pub reason: Reason,
    pub runner: Uuid,
    pub gateway: Arc<dyn Gateway>,
    pub order: ChargeOrder,
    pub within: Duration,
    pub taken_over: Option<TakenOver>,
    pub leased: tokio::time::Instant,
    /// Held until the outcome is written.
    pub _slot: Slot,
}

/// Another worker may have sent this attempt already: no error of ours is definite.
#[derive(Clone, Copy, Debug)]
pub(super) struct TakenOver {
    /// Whether sending the same order again is harmless; else it is only searched for.
    pub repeatable: bool,
    /// For how long the first worker's call may still be under way.
    pub first_call_left: Duration,
}

impl Activities {
    pub(super) async fn begin(
        &self,
        id: ChargeId,
        mut seat: Option<Seat>,
    ) -> Result<Begun, StoreError> {
        let mut tx = self.store.begin().await?;
        let Some(mut charge) = charges::lock(&mut tx, id).await? else {
            return Ok(Begun::Step(Progress::unchanged(Step::Done)));
        };
        if charge.status != Status::Processing {
            return Ok(Begun::Step(Progress::unchanged(Step::LOOK)));
        }
        let earlier = attempts::of_charge(&mut tx, id).await?;
        if let Some(open) = earlier.iter().find(|a| a.state == State::Open) {
            let begun = self.take_over(&mut tx, &charge, open, seat).await?;
            tx.commit().await?;
            return Ok(begun);
        }
        if let Some(ended) = ended(&charge) {
            let due = charges::transition(&mut tx, &self.store, &mut charge, ended, None).await?;
            let late = self
                .timing
                .late_looks
                .first()
                .filter(|_| !earlier.is_empty());
            let look_at = late.map(|pause| charge.now + delta(*pause));
            charges::set_look_at(&mut tx, id, look_at, 0).await?;
            tx.commit().await?;
            self.starter.start_deliveries(due.unwrap_or_default());
            return Ok(Begun::Step(Progress::changed(Step::LOOK)));
        }
        let chosen = self.choose(&mut tx, &charge, &earlier, &mut seat).await?;
        let begun = match chosen {
            Chosen::Call(call) => Begun::Call(call),
            Chosen::Queue(family) => return Ok(Begun::Queue(family, charge.merchant)),
            Chosen::Wait(pause) => {
                let pause = pause.min(until(charge.expires_at, charge.now));
                let look_at = Some(charge.now + delta(pause));
                charges::set_look_at(&mut tx, id, look_at, charge.looks).await?;
                Begun::Step(Progress::unchanged(Step::attempt_after(pause)))
            }
            Chosen::Fail(failure) => {
                let failed = Status::Failed;
                let due =
                    charges::transition(&mut tx, &self.store, &mut charge, failed, Some(&failure))
                        .await?;
                charges::set_look_at(&mut tx, id, None, charge.looks).await?;
                tx.commit().await?;
                self.starter.start_deliveries(due.unwrap_or_default());
                return Ok(Begun::Step(Progress::changed(Step::LOOK)));
            }
        };
        tx.commit().await?;
        Ok(begun)
    }

    /// An attempt that is open although this worker does not call: its worker died, is paused, or is calling right now.
    async fn take_over(
        &self,
        db: &mut PgConnection,
        charge: &charges::Locked,
        open: &attempts::Row,
        seat: Option<Seat>,
    ) -> Result<Begun, StoreError> {
        let (gateway, _) = self.reopen(db, open).await?;
        let order = self.order_of(db, open).await?.ok_or(VaultError::Erased)?;
        let age = until(charge.now, open.started_at);
        let repeatable = gateway
            .idempotent_for(charge.method)
            .is_some_and(|window| age < window);
        let visible_at = open.deadline_at + delta(gateway.visibility_lag(charge.method));
        let free_at = if repeatable {
            open.lease_expires_at
        } else {
            open.lease_expires_at.max(visible_at)
        };
        if charge.now < free_at {
            let pause = until(free_at, charge.now);
            return Ok(Begun::Step(Progress::unchanged(Step::attempt_after(pause))));
        }
        let Some(slot) = self.seat(seat, open.family, charge.merchant) else {
            return Ok(Begun::Queue(open.family, charge.merchant));
        };
        let within = self.timing.call;
        let mut lease = self.lease(charge.now, within);
        if !repeatable {
            lease.deadline_at = open.deadline_at;
        }
        if !attempts::take(db, open.id, open.runner, lease).await? {
            return Ok(Begun::Step(Progress::unchanged(Step::ATTEMPT)));
        }
        tracing::info!(charge = %open.charge, attempt = %open.id, "took over an open attempt");
        Ok(Begun::Call(Box::new(Call {
            charge: open.charge,
            family: open.family,
            attempt: open.id,
            n: open.n,
            connection: open.connection,
            reason: open.reason,
            runner: lease.runner,
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

    /// A new lease on an attempt for a call of at most `within`.
    pub(super) fn lease(&self, now: Instant, within: Duration) -> Lease {
        Lease {
            runner: store::new_id(),
            deadline_at: now + delta(within + self.timing.resolve + SLACK),
            expires_at: now + delta(LEASE),
        }
    }

    /// The place that the caller queued for, if it is of this API, or a free one.
    pub(super) fn seat(
        &self,
        seat: Option<Seat>,
        family: ApiFamily,
        merchant: MerchantId,
    ) -> Option<Slot> {
        match seat {
            Some((held, slot)) if held == family => Some(slot),
            _ => self.bulkhead.try_enter(family, merchant),
        }
    }
}

/// A charge that is to end before any gateway has it.
fn ended(charge: &charges::Locked) -> Option<Status> {
    if charge.cancel_requested_at.is_some() {
        Some(Status::Canceled)
    } else if charge.expires_at <= charge.now {
        Some(Status::Expired)
    } else {
        None
    }
}
