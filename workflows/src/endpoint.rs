//! Workflow of an endpoint that is paused, drained or deleted. It waits instead of one workflow for each of the endpoint's deliveries.

use std::error::Error;

use activities::{DeliveryStep, TemporalActivities};
use schemas::id::EndpointId;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult};

use crate::{
    delivery::regular,
    wait::{Wakeable, wait},
};

/// Maximum number of steps of one run before it continues as new.
const MAX_STEPS: u32 = 500;

/// Workflow whose id is the endpoint's id. Its input is only that id.
#[workflow]
pub struct EndpointWorkflow {
    endpoint: EndpointId,
    woken: bool,
}

impl Wakeable for EndpointWorkflow {
    fn is_woken(&self) -> bool {
        self.woken
    }

    fn forget(&mut self) {
        self.woken = false;
    }
}

#[workflow_methods]
impl EndpointWorkflow {
    #[init]
    fn new(_ctx: &WorkflowContextView, endpoint: EndpointId) -> Self {
        Self {
            endpoint,
            woken: false,
        }
    }

    /// Checks the endpoint until nothing is left to do for it.
    #[run(name = "endpoint")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let endpoint = ctx.state(|s| s.endpoint);
        for _ in 0..MAX_STEPS {
            ctx.state_mut(|s| s.woken = false);
            let step = ctx
                .execute_activity(TemporalActivities::check_endpoint, endpoint, regular())
                .await?;
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
        ctx.continue_as_new(endpoint, temporalio_sdk::ContinueAsNewOptions::default())?;
        Ok(())
    }

    /// Makes the workflow check the endpoint now.
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
