//! A charge without its workflow, while Temporal is away: the same steps, in the process that accepted it. Its workflow is started
//! later, by the sweep.

use std::time::Duration;

use gateways::outside;
use schemas::id::ChargeId;
use store::charges;

use crate::{Activities, Progress, Step};

/// Between steps, whatever they say.
const BETWEEN_STEPS_MS: u64 = 10;

impl Activities {
    /// Attempts until an instrument is presented or the caller's time is over, and leaves the charge to the sweep.
    pub async fn present(&self, charge: ChargeId) {
        self.attempt_directly(charge).await;
        self.leave_to_sweep(charge).await;
    }

    /// Takes one step with a charge, and leaves the rest to the sweep: the step alone would put its next check at its end, and no
    /// workflow would exist until then.
    pub async fn advance_directly(&self, charge: ChargeId) {
        if let Err(error) = Box::pin(self.advance(charge)).await {
            tracing::error!(%charge, %error, "could not take a step without Temporal either");
        }
        self.leave_to_sweep(charge).await;
    }

    async fn leave_to_sweep(&self, charge: ChargeId) {
        let left = async {
            let mut db = self.store.pool.acquire().await?;
            charges::look_now(&mut db, charge).await
        };
        if let Err(error) = left.await {
            tracing::error!(%charge, %error, "the sweep will find this charge only when its time is over");
        }
    }

    async fn attempt_directly(&self, charge: ChargeId) {
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
