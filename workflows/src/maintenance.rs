//! Maintenance of connections. Schedules start these workflows.

use std::time::Duration;

use activities::TemporalActivities;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{ActivityOptions, WorkflowContext, WorkflowResult};

use crate::charge::retry;

/// Maximum time of one round.
const ACTIVITY_TIMEOUT: Duration = Duration::from_mins(10);
/// Maximum time between heartbeats. A round without one was lost with its worker and is retried.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the gateways' lists, in case notifications were lost.
#[workflow]
#[derive(Default)]
pub struct PollConnectionsWorkflow;

#[workflow_methods]
impl PollConnectionsWorkflow {
    /// Runs one round. The schedule skips an interval while a round runs.
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

/// Checks our registration at the gateways: addresses, queues, certificates.
#[workflow]
#[derive(Default)]
pub struct CheckConnectionsWorkflow;

#[workflow_methods]
impl CheckConnectionsWorkflow {
    /// Runs one round. The schedule skips an interval while a round runs.
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
