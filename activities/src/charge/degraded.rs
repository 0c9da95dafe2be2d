//! A charge without its workflow, while Temporal is unavailable: the process that accepted it takes the same steps. The sweep starts its
//! workflow later.

use std::time::Duration;

use gateways::outside;
use schemas::id::ChargeId;
use store::charges;

use crate::{Activities, Progress, Step};

/// Minimum pause between steps, in milliseconds.
const BETWEEN_STEPS_MS: u64 = 10;

impl Activities {
    /// Attempts until an instrument is presented or the caller's time is over, then leaves the charge to the sweep.
    pub async fn present(&self, charge: ChargeId) {
        self.attempt_degraded(charge).await;
        self.leave_to_sweep(charge).await;
    }

    /// Takes one step with a charge, and leaves the rest to the sweep. The step alone would schedule the next check for the charge's end,
    /// and no workflow would exist until then.
    pub async fn advance_directly(&self, charge: ChargeId) {
        if let Err(error) = Box::pin(self.advance(charge)).await {
            tracing::error!(%charge, %error, "could not take a step without Temporal either");
        }
        self.leave_to_sweep(charge).await;
    }

    /// Makes the charge due, so that the sweep starts its workflow.
    async fn leave_to_sweep(&self, charge: ChargeId) {
        let left = async {
            let mut db = self.store.pool.acquire().await?;
            charges::check_now(&mut db, charge).await
        };
        if let Err(error) = left.await {
            tracing::error!(%charge, %error, "the sweep will find this charge only when its time is over");
        }
    }

    async fn attempt_degraded(&self, charge: ChargeId) {
        let deadline = outside::instant() + self.timing.answer_within;
        while outside::instant() < deadline {
            match Box::pin(self.attempt_charge(charge)).await {
                Ok(Progress {
                    step: Step::Attempt { after_ms },
                    ..
                }) => {
                    outside::sleep(Duration::from_millis(after_ms.max(BETWEEN_STEPS_MS))).await;
                }
                Ok(_) => return,
                Err(error) => {
                    tracing::error!(%charge, %error, "could not take a step without Temporal either");
                    return;
                }
            }
        }
    }
}
