//! One event for one endpoint, until it is accepted.

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

/// Longer than a merchant's server may take, and writing down.
const ACTIVITY_TIMEOUT: Duration = Duration::from_secs(30);
/// How many tries one run makes before it continues as new.
const MAX_STEPS: u32 = 500;

/// What to deliver.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct DeliveryInput {
    pub delivery: DeliveryId,
    /// The endpoint has been slow lately: the first try is a regular activity, which does not hold a workflow task open.
    pub slow: bool,
    /// How long to wait before the first try: its turn at the endpoint.
    #[serde(default)]
    pub after_ms: u64,
}

/// A try as a regular activity.
pub(crate) fn regular() -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(ACTIVITY_TIMEOUT)
        .retry_policy(retry())
        .build()
}

/// Named by the delivery's id.
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

    /// Tries at once or in its turn, then behind durable timers. A delivery that is parked ends its workflow; its endpoint starts it
    /// again.
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

    /// Try now.
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
