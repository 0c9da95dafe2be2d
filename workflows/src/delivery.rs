//! Workflow of a delivery: one event for one endpoint, until it is accepted.

use std::{error::Error, time::Duration};

use activities::{DeliveryStep, TemporalActivities};
use schemas::id::DeliveryId;
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::{
    charge::{patient, retry},
    wait::{Wakeable, wait},
};

/// Maximum time of an activity. Longer than the maximum response time of a merchant's server and the write.
const ACTIVITY_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of attempts of one run before it continues as new.
const MAX_STEPS: u32 = 500;

/// Input of a delivery's workflow.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct DeliveryInput {
    pub delivery: DeliveryId,
    /// True if the endpoint was slow recently: the first attempt is a regular activity, which does not hold a workflow task open.
    pub slow: bool,
    /// Time before the first attempt: until the delivery's turn at the endpoint.
    #[serde(default)]
    pub after_ms: u64,
}

/// Returns options of an attempt as a regular activity.
pub(crate) fn regular() -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(ACTIVITY_TIMEOUT)
        .retry_policy(retry())
        .build()
}

/// Workflow whose id is the delivery's id.
#[workflow]
pub struct DeliveryWorkflow {
    input: DeliveryInput,
    woken: bool,
}

impl Wakeable for DeliveryWorkflow {
    fn is_woken(&self) -> bool {
        self.woken
    }

    fn forget(&mut self) {
        self.woken = false;
    }
}

#[workflow_methods]
impl DeliveryWorkflow {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: DeliveryInput) -> Self {
        Self {
            input,
            woken: false,
        }
    }

    /// Attempts the delivery at once or at its turn, then after durable timers. The workflow of a parked delivery ends; its endpoint starts
    /// it again.
    #[run(name = "delivery")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let input = ctx.state(|s| s.input);
        let (delivery, slow) = (input.delivery, input.slow);
        wait(ctx, input.after_ms).await;
        for n in 0..MAX_STEPS {
            ctx.state_mut(|s| s.woken = false);
            let step = if n == 0 && !slow {
                ctx.execute_local_activity(TemporalActivities::deliver, delivery, patient())
                    .await?
            } else {
                ctx.execute_activity(TemporalActivities::deliver, delivery, regular())
                    .await?
            };
            match step {
                DeliveryStep::Again { after_ms } => {
                    wait(ctx, after_ms).await;
                }
                DeliveryStep::Done => {
                    let me = ctx.clone();
                    ctx.wait_condition(move |_| me.all_handlers_finished())
                        .await?;
                    if !ctx.state(|s| s.woken) {
                        return Ok(());
                    }
                }
            }
        }
        let again = DeliveryInput {
            delivery,
            slow: true,
            after_ms: 0,
        };
        ctx.continue_as_new(again, temporalio_sdk::ContinueAsNewOptions::default())?;
        Ok(())
    }

    /// Makes the workflow attempt the delivery now.
    #[update(name = "wake")]
    pub fn wake(
        &mut self,
        _ctx: &mut SyncWorkflowContext<Self>,
        (): (),
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.woken = true;
        Ok(())
    }
}
