//! The one sweep, started by a schedule.

use std::time::Duration;

use activities::TemporalActivities;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{ActivityOptions, WorkflowContext, WorkflowResult};

use crate::charge::retry;

/// How long one sweep may take: longer than it begins new pages for, by the longest page.
const ACTIVITY_TIMEOUT: Duration = Duration::from_mins(6);
/// A sweep that is silent for so long was lost: until it is done again, nothing is swept.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);

/// Starts, wakes or works on every row that is overdue.
#[workflow]
#[derive(Default)]
pub struct SweepWorkflow;

#[workflow_methods]
impl SweepWorkflow {
    /// One sweep; the schedule skips a beat while one runs.
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
