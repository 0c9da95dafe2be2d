//! Resolution of a call with an unknown outcome: the charge is looked up within the same attempt.

use std::time::Duration;

use gateways::{GatewayCharge, GatewayError, outside};
use schemas::retry::Backoff;
use tokio::time::Instant;

use super::{
    attempt::{CallOutcome, elapsed},
    open::AttemptCall,
};
use crate::Activities;
use crate::retry::attempt::SEARCHES;

impl Activities {
    /// Searches for the charge a few times and adopts it if found. An empty result proves nothing: the attempt is then abandoned.
    pub(super) async fn resolve(
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
            initial_ms: crate::ms(first),
            factor: 3,
            max_ms: crate::ms(self.timing.resolve),
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
