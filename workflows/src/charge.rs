//! Workflow of a charge, from its first attempt to its final status.

use std::{error::Error, time::Duration};

use activities::{Pace, Progress, Step, TemporalActivities};
use schemas::id::ChargeId;
use temporalio_common::RetryPolicy;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    LocalActivityOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::wait::{Wakeable, wait};

/// Maximum time of an activity. Longer than any attempt: the last gateway's call, the search for its outcome, and the write.
const ACTIVITY_TIMEOUT: Duration = Duration::from_secs(40);
/// Maximum number of steps of one run before it continues as new, which bounds its history.
const MAX_STEPS: u32 = 500;

/// Workflow whose id is the charge's id. Its input is only that id.
#[workflow]
pub struct ChargeWorkflow {
    charge: ChargeId,
    woken: bool,
}

impl Wakeable for ChargeWorkflow {
    fn is_woken(&self) -> bool {
        self.woken
    }

    fn forget(&mut self) {
        self.woken = false;
    }
}

#[workflow_methods]
impl ChargeWorkflow {
    #[init]
    fn new(_ctx: &WorkflowContextView, charge: ChargeId) -> Self {
        Self {
            charge,
            woken: false,
        }
    }

    /// Attempts until an instrument is presented, then syncs the charge until it is final. A run that finds a final row returns at once.
    #[run(name = "charge")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let charge = ctx.state(|s| s.charge);
        let mut step = Step::ATTEMPT;
        let mut pace = Pace::default();
        for _ in 0..MAX_STEPS {
            if wait(ctx, step.pause_ms()).await {
                step = Step::SYNC;
            }
            let done = match step {
                Step::Attempt { .. } => {
                    ctx.execute_local_activity(TemporalActivities::attempt, charge, patient())
                        .await?
                }
                Step::Sync { .. } => {
                    ctx.state_mut(|s| s.woken = false);
                    ctx.execute_local_activity(TemporalActivities::sync, charge, patient())
                        .await?
                }
                Step::Cancel => {
                    ctx.execute_local_activity(TemporalActivities::cancel, charge, patient())
                        .await?
                }
                Step::Expire => {
                    ctx.execute_local_activity(TemporalActivities::expire, charge, patient())
                        .await?
                }
                Step::Done => {
                    let me = ctx.clone();
                    ctx.wait_condition(move |_| me.all_handlers_finished())
                        .await?;
                    if !ctx.state(|s| s.woken) {
                        return Ok(());
                    }
                    Progress::changed(Step::SYNC)
                }
            };
            step = done.step;
            if step != Step::Done && wait(ctx, pace.wait_ms(done)).await {
                step = Step::SYNC;
            }
        }
        ctx.continue_as_new(charge, temporalio_sdk::ContinueAsNewOptions::default())?;
        Ok(())
    }

    /// Makes the workflow check the row now. The caller has committed its request to the row.
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

/// Returns options of local activities, which are retried without limit. Activities fail only if our own infrastructure fails; all other
/// outcomes are results.
pub(crate) fn patient() -> LocalActivityOptions {
    LocalActivityOptions::builder()
        .start_to_close_timeout(ACTIVITY_TIMEOUT)
        .retry_policy(retry())
        .timer_backoff_threshold(Duration::from_secs(1))
        .build()
}

/// Returns a retry policy without a limit, with short intervals at first.
pub(crate) fn retry() -> RetryPolicy {
    RetryPolicy::builder()
        .initial_interval(Duration::from_millis(200))
        .backoff_coefficient(2.0)
        .maximum_interval(Duration::from_secs(30))
        .build()
}
