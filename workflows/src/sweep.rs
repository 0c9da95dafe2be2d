//! Sweep of overdue rows. A schedule starts the workflow.

use std::time::Duration;

use activities::TemporalActivities;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{ActivityOptions, WorkflowContext, WorkflowResult};

use crate::charge::retry;

/// Maximum time of one sweep: the time within which it begins new pages, and the longest page.
const ACTIVITY_TIMEOUT: Duration = Duration::from_mins(6);
/// Maximum time between heartbeats. A sweep without one was lost; nothing is swept until it is retried.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);

/// Starts, wakes or processes every overdue row.
#[workflow]
#[derive(Default)]
pub struct SweepWorkflow;

#[workflow_methods]
impl SweepWorkflow {
    /// Runs one sweep. The schedule skips an interval while a sweep runs.
    #[run(name = "sweep")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, (): ()) -> WorkflowResult<()> {
        let options = ActivityOptions::with_start_to_close_timeout(ACTIVITY_TIMEOUT)
            .heartbeat_timeout(HEARTBEAT_TIMEOUT)
            .retry_policy(retry())
            .build();
        ctx.execute_activity(TemporalActivities::sweep, (), options)
            .await?;
        Ok(())
    }
}
