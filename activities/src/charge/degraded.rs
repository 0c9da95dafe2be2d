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
