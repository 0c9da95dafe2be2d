//! Creation of the next months' partitions. A schedule starts the workflow.

use std::time::Duration;

use activities::TemporalActivities;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{ActivityOptions, WorkflowContext, WorkflowResult};

use crate::charge::retry;

/// Maximum time of one run: it may have to read the rows of a default partition.
const ACTIVITY_TIMEOUT: Duration = Duration::from_mins(10);

/// Creates partitions ahead of time.
#[workflow]
#[derive(Default)]
pub struct PartitionsWorkflow;

#[workflow_methods]
impl PartitionsWorkflow {
    /// Runs once. The schedule skips an interval while a run is in progress.
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
