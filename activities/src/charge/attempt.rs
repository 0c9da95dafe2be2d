//! One attempt from top to bottom: plan and open it, call the gateway, close it. A closed attempt opens the next one in the same transaction.

use gateways::outside;
use schemas::id::ChargeId;
use store::{StoreError, attempts};

use super::open::{AttemptCall, NextStep};
use crate::retry::attempt::{
    LEASE, QUEUE_AGAIN, QUEUE_FOR, QUEUE_ROUNDS, RENEW_EVERY, ROUNDS, STEP_TIME,
};
use crate::{Activities, Progress, Step, delta};

impl Activities {
    /// Tries gateways for a charge that is still `processing`, one after the other.
    pub async fn attempt_charge(&self, charge: ChargeId) -> Result<Progress, StoreError> {
        let started = outside::instant();
        // the attempt that this process accepted with the charge; memory before SQL
        let mut opened = self.accepted.take(charge);
        let (mut call_slot, mut queued) = (None, 0);
        for _ in 0..ROUNDS {
            let next = match opened.take() {
                Some(call) => NextStep::Call(call),
                None => Box::pin(self.open_attempt(charge, call_slot.take())).await?,
            };
            match next {
                NextStep::Step(progress) => {
                    self.accepted.release(charge);
                    return Ok(progress);
                }
                NextStep::Queue(api, merchant) => {
                    self.accepted.release(charge);
                    if queued == QUEUE_ROUNDS {
                        break;
                    }
                    queued += 1;
                    let slot = self.bulkhead.enter_within(api, merchant, QUEUE_FOR);
                    call_slot = slot.await.map(|slot| (api, slot));
                    if call_slot.is_none() {
                        break;
                    }
                }
                NextStep::Call(call) => {
                    if !self.still_leased(&call).await? {
                        return Ok(Progress::unchanged(Step::ATTEMPT));
                    }
                    // from here on the charge waits for a gateway, which uses none of our capacity
                    self.accepted.release(charge);
                    let call_outcome = Box::pin(self.call(&call)).await;
                    // a process that stops opens nothing that it would not wait for
                    let goes_on =
                        outside::instant() - started < STEP_TIME && !self.detached.is_stopping();
                    let closed = Box::pin(self.close_attempt(&call, call_outcome, goes_on)).await?;
                    opened = closed.next;
                    if opened.is_none() {
                        return Ok(Progress::changed(closed.step));
                    }
                }
            }
        }
        if let Some(call) = opened {
            self.release_unsent(&call).await?;
        }
        Ok(Progress::unchanged(Step::attempt_after(QUEUE_AGAIN)))
    }

    /// Returns true if this worker still leases the attempt until its first renewal. A process that was paused since the lease was written
    /// renews it before it sends the first byte.
    async fn still_leased(&self, call: &AttemptCall) -> Result<bool, StoreError> {
        if (outside::instant() - call.leased) + RENEW_EVERY < LEASE {
            return Ok(true);
        }
        let mut db = self.store.pool.acquire().await?;
        attempts::renew(&mut db, call.attempt, call.lease_owner, delta(LEASE)).await
    }

    /// Releases the lease of an attempt of which nothing was sent.
    async fn release_unsent(&self, call: &AttemptCall) -> Result<bool, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        attempts::release_unsent(&mut db, call.attempt, call.lease_owner).await
    }

    /// Releases what the charge still holds since this process accepted it: another process has begun to present it, or does so now.
    pub async fn leave_accepted(&self, charge: ChargeId) {
        let call = self.accepted.take(charge);
        self.accepted.release(charge);
        let Some(call) = call else { return };
        let released = self.release_unsent(&call).await;
        let merchant = call.merchant;
        // the worker that is woken needs the call's slot
        drop(call);
        match released {
            Ok(true) => self.wake_charge(merchant, charge).await,
            Ok(false) => {}
            // its lease expires soon
            Err(error) => {
                tracing::warn!(%charge, %error, "could not release the lease of an accepted charge");
            }
        }
    }
}
