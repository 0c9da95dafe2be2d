//! Workflow of a charge, from its first attempt to its final status.

use activities::{ChargeActivities, Pace, Progress, Served, Step};
use schemas::id::ChargeId;
use temporalio_sdk::{ContinueAsNewOptions, WorkflowContext, WorkflowResult};

use crate::{
    options::local,
    poll_loop::{MAX_STEPS, Wakeable, is_finished, wait, wakeable_workflow},
    queues::Queue,
};

wakeable_workflow!(
    /// Workflow whose id is the charge's id. Its input is only that id.
    ChargeWorkflow(ChargeId),
    "charge",
    Served<ChargeId>,
    Queue::Charges
);

impl ChargeWorkflow {
    /// Attempts until an instrument is presented, then syncs the charge until it is final.
    async fn serve(ctx: &mut WorkflowContext<Self>, charge: ChargeId) -> WorkflowResult<()> {
        let mut step = Step::ATTEMPT;
        let mut pace = Pace::default();
        for _ in 0..MAX_STEPS {
            if wait(ctx, step.pause_ms()).await {
                step = Step::SYNC;
            }
            let done = match step {
                Step::Attempt { .. } => {
                    ctx.execute_local_activity(ChargeActivities::attempt, charge, local())
                        .await?
                }
                Step::Sync { .. } => {
                    ctx.state(|s| s.flag().clear());
                    ctx.execute_local_activity(ChargeActivities::sync, charge, local())
                        .await?
                }
                Step::Cancel => {
                    ctx.execute_local_activity(ChargeActivities::cancel, charge, local())
                        .await?
                }
                Step::Expire => {
                    ctx.execute_local_activity(ChargeActivities::expire, charge, local())
                        .await?
                }
                Step::Done => {
                    if is_finished(ctx).await? {
                        return Ok(());
                    }
                    Progress::changed(Step::SYNC)
                }
            };
            step = done.step;
            let pace_ms = pace.wait_ms(done.changed, step.pause_ms());
            if step != Step::Done && wait(ctx, pace_ms).await {
                step = Step::SYNC;
            }
        }
        ctx.continue_as_new(charge, ContinueAsNewOptions::default())?;
        Ok(())
    }
}
