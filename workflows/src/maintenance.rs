//! Looking after connections, started by schedules.

use std::time::Duration;

use activities::TemporalActivities;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{ActivityOptions, WorkflowContext, WorkflowResult};

use crate::charge::retry;

/// How long one round may take.
const ACTIVITY_TIMEOUT: Duration = Duration::from_mins(10);
/// A round that is silent for so long was lost with its worker, and is done again.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads what gateways list, in case their notifications were lost.
#[workflow]
#[derive(Default)]
pub struct PollConnectionsWorkflow;

#[workflow_methods]
impl PollConnectionsWorkflow {
    /// One round; the schedule skips a beat while one runs.
    #[run(name = "poll_connections")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, (): ()) -> WorkflowResult<()> {
        let options = ActivityOptions::with_start_to_close_timeout(ACTIVITY_TIMEOUT)
            .heartbeat_timeout(HEARTBEAT_TIMEOUT)
            .retry_policy(retry())
            .build();
        ctx.execute_activity(TemporalActivities::poll_connections, (), options)
            .await?;
        Ok(())
    }
}

/// Looks after our set-up at the gateways: addresses, queues, certificates.
#[workflow]
#[derive(Default)]
pub struct CheckConnectionsWorkflow;

#[workflow_methods]
impl CheckConnectionsWorkflow {
    /// One round; the schedule skips a beat while one runs.
    #[run(name = "check_connections")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, (): ()) -> WorkflowResult<()> {
        let options = ActivityOptions::with_start_to_close_timeout(ACTIVITY_TIMEOUT)
            .heartbeat_timeout(HEARTBEAT_TIMEOUT)
            .retry_policy(retry())
            .build();
        ctx.execute_activity(TemporalActivities::check_connections, (), options)
            .await?;
        Ok(())
    }
}
