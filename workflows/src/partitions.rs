//! Partitions of the next months, created by a schedule.

use std::time::Duration;

use activities::TemporalActivities;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{ActivityOptions, WorkflowContext, WorkflowResult};

use crate::charge::retry;

/// How long one run may take: rows of a default partition may have to be read.
const ACTIVITY_TIMEOUT: Duration = Duration::from_mins(10);

/// Creates partitions ahead of time.
#[workflow]
#[derive(Default)]
pub struct PartitionsWorkflow;

#[workflow_methods]
impl PartitionsWorkflow {
    /// One run; the schedule skips a beat while one runs.
    #[run(name = "partitions")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, (): ()) -> WorkflowResult<()> {
        let options = ActivityOptions::with_start_to_close_timeout(ACTIVITY_TIMEOUT)
            .retry_policy(retry())
            .build();
        ctx.execute_activity(TemporalActivities::create_partitions, (), options)
            .await?;
        Ok(())
    }
}
