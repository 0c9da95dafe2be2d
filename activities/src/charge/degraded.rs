//! A charge without its workflow, while Temporal is unavailable: the process that accepted it takes the same steps. The sweep starts its
//! workflow later.

use std::{future::Future, time::Duration};

use gateways::outside;
use schemas::id::ChargeId;
use store::charges;

use crate::retry::direct::BETWEEN_STEPS_MS;
use crate::{Activities, Progress, Step};

tokio::task_local! {
    /// Set while a process takes a step without the charge's workflow.
    static WITHOUT_WORKFLOW: ();
}

/// Returns true if the current step has no workflow that waits for the charge's next check. Its own transaction then makes the charge due
/// now, so that the sweep starts the workflow even if this process dies after the commit.
pub(super) fn is_without_workflow() -> bool {
    WITHOUT_WORKFLOW.try_with(|()| ()).is_ok()
}

async fn without_workflow<T>(step: impl Future<Output = T>) -> T {
    Box::pin(WITHOUT_WORKFLOW.scope((), step)).await
}

impl Activities {
    /// Attempts until an instrument is presented or the caller's time is over, then leaves the charge to the sweep.
    pub async fn present(&self, charge: ChargeId) {
        without_workflow(self.attempt_degraded(charge)).await;
        self.leave_to_sweep(charge).await;
    }

    /// Takes one step with a charge, and leaves the rest to the sweep.
    pub async fn advance_directly(&self, charge: ChargeId) {
        if let Err(error) = without_workflow(self.advance(charge)).await {
            tracing::error!(%charge, %error, "could not take a step without Temporal either");
        }
        self.leave_to_sweep(charge).await;
    }

    /// Makes a charge due whose step set a later check, such as the repetition of a step that failed. After a crash the sweep finds it then.
    async fn leave_to_sweep(&self, charge: ChargeId) {
        let left = async {
            let mut db = self.store.pool.acquire().await?;
            charges::check_now(&mut db, charge).await
        };
        if let Err(error) = left.await {
            tracing::error!(%charge, %error, "the sweep will find this charge at its next check");
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
