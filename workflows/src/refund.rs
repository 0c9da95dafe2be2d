//! Workflow of a refund, until it has succeeded or failed.

use std::{error::Error, time::Duration};

use activities::{Pace, Step, TemporalActivities};
use schemas::id::RefundId;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::{
    charge::retry,
    wait::{Wakeable, wait},
};

/// Maximum time of an activity. Longer than a read of the gateway, the call, and the write.
const ACTIVITY_TIMEOUT: Duration = Duration::from_mins(1);
/// Maximum number of steps of one run before it continues as new.
const MAX_STEPS: u32 = 500;

/// Workflow whose id is the refund's id. Its input is only that id.
#[workflow]
pub struct RefundWorkflow {
    refund: RefundId,
    woken: bool,
}

impl Wakeable for RefundWorkflow {
    fn is_woken(&self) -> bool {
        self.woken
    }

    fn forget(&mut self) {
        self.woken = false;
    }
}

#[workflow_methods]
impl RefundWorkflow {
    #[init]
    fn new(_ctx: &WorkflowContextView, refund: RefundId) -> Self {
        Self {
            refund,
            woken: false,
        }
    }

    /// Sends the refund once, then checks it at growing intervals. A run that finds a final row returns at once.
    #[run(name = "refund")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let refund = ctx.state(|s| s.refund);
        let mut pace = Pace::default();
        for _ in 0..MAX_STEPS {
            ctx.state_mut(|s| s.woken = false);
            let options = ActivityOptions::with_start_to_close_timeout(ACTIVITY_TIMEOUT)
                .retry_policy(retry())
                .build();
            let done = ctx
                .execute_activity(TemporalActivities::refund, refund, options)
                .await?;
            if done.step == Step::Done {
                let me = ctx.clone();
                ctx.wait_condition(move |_| me.all_handlers_finished())
                    .await?;
                if !ctx.state(|s| s.woken) {
                    return Ok(());
                }
            } else {
                let pause_ms = done.step.pause_ms().max(pace.wait_ms(done));
                wait(ctx, pause_ms).await;
            }
        }
        ctx.continue_as_new(refund, temporalio_sdk::ContinueAsNewOptions::default())?;
        Ok(())
    }

    /// Makes the workflow check the row now.
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
