//! Workflows that schedules start: each runs one activity once. A schedule skips an interval while its workflow runs.

use activities::retry::workflow::{PARTITIONS_TIMEOUT, ROUND_TIMEOUT, SWEEP_TIMEOUT};
use activities::{PartitionActivities, PollingActivities, RegistrationActivities, SweepActivities};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{WorkflowContext, WorkflowResult};

use crate::options::{beating, regular};

/// Declares a workflow that runs one activity once.
macro_rules! scheduled_workflow {
    ($(#[$doc:meta])* $workflow:ident, $name:literal, $activity:expr, $options:expr) => {
        $(#[$doc])*
        #[workflow]
        #[derive(Default)]
        pub struct $workflow;

        #[workflow_methods]
        impl $workflow {
            /// Runs the activity.
            #[run(name = $name)]
            pub async fn run(ctx: &mut WorkflowContext<Self>, (): ()) -> WorkflowResult<()> {
                ctx.execute_activity($activity, (), $options).await?;
                Ok(())
            }
        }
    };
}

scheduled_workflow!(
    /// Starts, wakes or processes every overdue row.
    SweepWorkflow,
    "sweep",
    SweepActivities::sweep,
    beating(SWEEP_TIMEOUT)
);
scheduled_workflow!(
    /// Reads the gateways' lists, in case notifications were lost.
    PollConnectionsWorkflow,
    "poll_connections",
    PollingActivities::poll_connections,
    beating(ROUND_TIMEOUT)
);
scheduled_workflow!(
    /// Checks our registration at the gateways: addresses, queues, certificates.
    CheckConnectionsWorkflow,
    "check_connections",
    RegistrationActivities::check_connections,
    beating(ROUND_TIMEOUT)
);
scheduled_workflow!(
    /// Creates partitions ahead of time.
    PartitionsWorkflow,
    "partitions",
    PartitionActivities::create_partitions,
    regular(PARTITIONS_TIMEOUT)
);
