//! One attempt: plan and open it, call the gateway, close it.

use gateways::{GatewayCharge, GatewayError, outside};
use schemas::{attempt::ErrorClass, id::ChargeId};
use store::{StoreError, attempts};
use tokio::time::Instant;

use super::open::{AttemptCall, NextStep, TakenOver};
use crate::retry::attempt::{
    KEY_AGAIN, KEY_SENDS, LEASE, QUEUE_AGAIN, QUEUE_FOR, QUEUE_ROUNDS, RENEW_EVERY,
};
use crate::{Activities, Progress, Step, delta, ms};

/// Error code of the gateway while another request with the same key is in progress.
const KEY_IN_USE: &str = "key_in_use";

/// Outcome of a call.
pub(super) struct CallOutcome {
    /// The charge at the gateway, also if it was found after an unknown outcome.
    pub charge: Option<GatewayCharge>,
    /// Error of the call, even if the charge was found later.
    pub error: Option<GatewayError>,
    pub duration_ms: i64,
    /// True if more than one object has our reference.
    pub several: bool,
    /// True if the breaker has already counted the error.
    pub counted: bool,
}

impl Activities {
    /// Tries one gateway for a charge that is still `processing`.
    pub async fn attempt_charge(&self, charge: ChargeId) -> Result<Progress, StoreError> {
        let mut call_slot = None;
        for _ in 0..QUEUE_ROUNDS {
            match Box::pin(self.open_attempt(charge, call_slot.take())).await? {
                NextStep::Step(progress) => {
                    self.accepted.release(charge);
                    return Ok(progress);
                }
                NextStep::Queue(api, merchant) => {
                    self.accepted.release(charge);
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
                    let step = Box::pin(self.close_attempt(&call, call_outcome)).await?;
                    return Ok(Progress::changed(step));
                }
            }
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

    /// Calls the gateway and renews the lease meanwhile.
    async fn call(&self, call: &AttemptCall) -> CallOutcome {
        // concurrent with the call, which must go on while a renewal waits for the database
        let renewing = async {
            loop {
                outside::sleep(RENEW_EVERY).await;
                self.renew(call).await;
            }
        };
        tokio::select! {
            call_outcome = Box::pin(self.create(call)) => call_outcome,
            never = renewing => never,
        }
    }

    async fn renew(&self, call: &AttemptCall) {
        let renewed = async {
            let mut db = self.store.pool.acquire().await?;
            attempts::renew(&mut db, call.attempt, call.lease_owner, delta(LEASE)).await
        };
        match renewed.await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(attempt = %call.attempt, "lost the lease of an attempt");
            }
            Err(error) => {
                tracing::warn!(attempt = %call.attempt, %error, "could not renew a lease");
            }
        }
    }

    async fn create(&self, call: &AttemptCall) -> CallOutcome {
        let started = outside::instant();
        if call.taken_over.is_some_and(|over| !over.repeatable) {
            let unknown = GatewayError::new(
                ErrorClass::Unknown,
                "runner_lost",
                "the worker that opened this attempt did not finish it",
            );
            return self.resolve(call, unknown, started, false).await;
        }
        match send(call).await {
            Ok(charge) => CallOutcome {
                charge: Some(charge),
                error: None,
                duration_ms: elapsed(started),
                several: false,
                counted: false,
            },
            Err(error) if error.class == ErrorClass::Unknown => {
                let counted = self.count_early(call, &error, elapsed(started)).await;
                self.resolve(call, error, started, counted).await
            }
            Err(error) => CallOutcome {
                charge: None,
                error: Some(error),
                duration_ms: elapsed(started),
                several: false,
                counted: false,
            },
        }
    }
}

/// Sends the order. After a takeover it retries while the gateway is still processing the first send.
async fn send(call: &AttemptCall) -> Result<GatewayCharge, GatewayError> {
    let started = outside::instant();
    let mut sends = 1;
    loop {
        let error = match call.gateway.charge(&call.order, call.within).await {
            Ok(charge) => return Ok(charge),
            Err(error) => error,
        };
        let Some(over) = call.taken_over else {
            return Err(error);
        };
        if error.code != KEY_IN_USE || is_over(over, started) || sends >= KEY_SENDS {
            return Err(match error.class {
                ErrorClass::Declined => error,
                _ => error.after_an_effect(),
            });
        }
        sends += 1;
        outside::sleep(KEY_AGAIN).await;
    }
}

fn is_over(over: TakenOver, since: Instant) -> bool {
    outside::instant() - since >= over.first_call_left
}

pub(super) fn elapsed(started: Instant) -> i64 {
    i64::try_from(ms(outside::instant() - started)).unwrap_or(i64::MAX)
}
