//! Call of an attempt: the order is sent while the lease is renewed, and looked up after an unknown outcome.

use std::time::Duration;

use gateways::{GatewayCharge, GatewayError, outside};
use schemas::{attempt::ErrorClass, retry::Backoff};
use store::attempts;
use tokio::time::Instant;

use super::open::{AttemptCall, TakenOver};
use crate::retry::attempt::{KEY_AGAIN, KEY_SENDS, LEASE, RENEW_EVERY, SEARCHES};
use crate::{Activities, delta, ms};

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
    /// Calls the gateway and renews the lease meanwhile.
    pub(super) async fn call(&self, call: &AttemptCall) -> CallOutcome {
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

    /// Searches for the charge a few times and adopts it if found. An empty result proves nothing: the attempt is then abandoned.
    async fn resolve(
        &self,
        call: &AttemptCall,
        error: GatewayError,
        started: Instant,
        counted: bool,
    ) -> CallOutcome {
        let failed_after_ms = elapsed(started);
        let found = outside::timeout(self.timing.resolve, self.search(call))
            .await
            .unwrap_or_default();
        let several = found.len() > 1;
        let charge = found
            .into_iter()
            .max_by_key(|charge| (!charge.payments.is_empty(), charge.next_action.is_some()));
        CallOutcome {
            charge,
            error: Some(error),
            duration_ms: failed_after_ms,
            several,
            counted,
        }
    }

    async fn search(&self, call: &AttemptCall) -> Vec<GatewayCharge> {
        let first = self.timing.resolve / 10;
        let pauses = Backoff {
            initial_ms: ms(first),
            factor: 3,
            max_ms: ms(self.timing.resolve),
        };
        for n in 0..SEARCHES {
            outside::sleep(Duration::from_millis(pauses.delay_ms(n))).await;
            match call.gateway.find(&call.order.lookup()).await {
                Ok(found) if !found.is_empty() => return found,
                Ok(_) => {}
                Err(error) => tracing::info!(attempt = %call.attempt, %error, "could not search"),
            }
        }
        Vec::new()
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

fn elapsed(started: Instant) -> i64 {
    i64::try_from(ms(outside::instant() - started)).unwrap_or(i64::MAX)
}
