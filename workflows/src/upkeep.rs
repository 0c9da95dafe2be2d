//! Looking after connections, started by schedules.

use std::time::Duration;

use activities::Registered;
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
pub struct CatchUpWorkflow;

#[workflow_methods]
impl CatchUpWorkflow {
    /// One round; the schedule skips a beat while one runs.
    #[run(name = "catch_up")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, (): ()) -> WorkflowResult<()> {
        let options = ActivityOptions::with_start_to_close_timeout(ACTIVITY_TIMEOUT)
            .heartbeat_timeout(HEARTBEAT_TIMEOUT)
            .retry_policy(retry())
            .build();
        ctx.execute_activity(Registered::catch_up, (), options)
            .await?;
        Ok(())
    }
}

/// Looks after our set-up at the gateways: addresses, queues, certificates.
#[workflow]
#[derive(Default)]
pub struct WatchWorkflow;

#[workflow_methods]
impl WatchWorkflow {
    /// One round; the schedule skips a beat while one runs.
    #[run(name = "watch")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, (): ()) -> WorkflowResult<()> {
        let options = ActivityOptions::with_start_to_close_timeout(ACTIVITY_TIMEOUT)
            .heartbeat_timeout(HEARTBEAT_TIMEOUT)
            .retry_policy(retry())
            .build();
        ctx.execute_activity(Registered::watch, (), options).await?;
        Ok(())
    }
}
