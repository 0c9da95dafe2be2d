//! Workflow that resolves an abandoned attempt.

use std::{error::Error, time::Duration};

use activities::{Pace, Step, TemporalActivities};
use schemas::id::AttemptId;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::{
    charge::retry,
    wait::{Wakeable, wait},
};

/// Maximum time of an activity. Longer than one round of calls to a gateway.
const ACTIVITY_TIMEOUT: Duration = Duration::from_mins(1);
/// Maximum number of steps of one run before it continues as new.
const MAX_STEPS: u32 = 500;

/// Workflow whose id is the attempt's id. Its input is only that id.
#[workflow]
pub struct OrphanWorkflow {
    attempt: AttemptId,
    woken: bool,
}

impl Wakeable for OrphanWorkflow {
    fn is_woken(&self) -> bool {
        self.woken
    }

    fn forget(&mut self) {
        self.woken = false;
    }
}

#[workflow_methods]
impl OrphanWorkflow {
    #[init]
    fn new(_ctx: &WorkflowContextView, attempt: AttemptId) -> Self {
        Self {
            attempt,
            woken: false,
        }
    }

    /// Resolves the attempt, retrying at growing intervals, until nothing is left to do.
    #[run(name = "orphan")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let attempt = ctx.state(|s| s.attempt);
        let options = || {
            ActivityOptions::with_start_to_close_timeout(ACTIVITY_TIMEOUT)
                .retry_policy(retry())
                .build()
        };
        let mut pace = Pace::default();
        for _ in 0..MAX_STEPS {
            ctx.state_mut(|s| s.woken = false);
            let done = ctx
                .execute_activity(TemporalActivities::resolve_orphan, attempt, options())
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
        ctx.continue_as_new(attempt, temporalio_sdk::ContinueAsNewOptions::default())?;
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
