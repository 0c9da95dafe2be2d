//! Loop of the workflows that serve one row: a step, then a wait for a timer or a wake, until nothing is left to do.

use std::{cell::Cell, time::Duration};

use activities::{Pace, PollStep, Progress};
use temporalio_common::{HasWorkflowDefinition, UpdateDefinition, WorkflowDefinition};
use temporalio_sdk::{
    ContinueAsNewOptions, TimerOptions, WorkflowContext, WorkflowResult, WorkflowTermination,
    workflows::WorkflowImplementation,
};

/// Maximum number of steps of one run before it continues as new, which bounds its history.
pub(crate) const MAX_STEPS: u32 = 500;

/// Input of a workflow's run.
pub(crate) type Input<W> = <<W as WorkflowImplementation>::Run as WorkflowDefinition>::Input;

/// Flag that is set while a wake is not handled.
#[derive(Debug, Default)]
pub(crate) struct WakeFlag(Cell<bool>);

impl WakeFlag {
    /// Records a wake.
    pub(crate) fn set(&self) {
        self.0.set(true);
    }

    /// Clears the wake, because it is being handled.
    pub(crate) fn clear(&self) {
        self.0.set(false);
    }

    /// Returns true if the workflow was woken and no step has begun since.
    pub(crate) fn is_set(&self) -> bool {
        self.0.get()
    }
}

/// Workflow that can be woken.
pub(crate) trait Wakeable:
    WorkflowImplementation<
    Run: HasWorkflowDefinition<Run = <Self as WorkflowImplementation>::Run, Input: Send>
             + Send
             + Sync,
>
{
    /// Returns the flag that its update `wake` sets.
    fn flag(&self) -> &WakeFlag;

    /// Returns the definition of its run, for the client.
    fn run_definition() -> Self::Run;

    /// Returns the definition of its update `wake`, for the client.
    fn wake_definition()
    -> impl UpdateDefinition<Workflow = Self::Run, Input = (), Output = ()> + Send + Sync + 'static;
}

/// Declares a workflow that can be woken: its doc, name and input, its name in Temporal, the row that it serves, and the queue of its tasks.
/// Its run is its function `serve`, or `repeats` one activity within a time limit until nothing is left to do.
macro_rules! wakeable_workflow {
    ($(#[$doc:meta])* $workflow:ident($input:ty), $name:literal, $row:ty, $queue:expr) => {
        $(#[$doc])*
        #[temporalio_macros::workflow]
        #[derive(Default)]
        pub struct $workflow($crate::poll_loop::WakeFlag);

        #[temporalio_macros::workflow_methods]
        impl $workflow {
            /// Runs until nothing is left to do for the row. A run that finds a final row returns at once.
            #[run(name = $name)]
            pub async fn run(
                ctx: &mut temporalio_sdk::WorkflowContext<Self>,
                input: $input,
            ) -> temporalio_sdk::WorkflowResult<()> {
                Self::serve(ctx, input).await
            }

            /// Makes the workflow check the row now. The caller has committed its request to the row.
            #[update(name = "wake")]
            pub fn wake(&mut self, _ctx: &mut temporalio_sdk::SyncWorkflowContext<Self>) {
                self.0.set();
            }
        }

        impl $crate::poll_loop::Wakeable for $workflow {
            fn flag(&self) -> &$crate::poll_loop::WakeFlag {
                &self.0
            }

            fn run_definition() -> <Self as temporalio_sdk::workflows::WorkflowImplementation>::Run
            {
                Self::run
            }

            fn wake_definition() -> impl temporalio_common::UpdateDefinition<
                Workflow = <Self as temporalio_sdk::workflows::WorkflowImplementation>::Run,
                Input = (),
                Output = (),
            > + Send + Sync + 'static {
                Self::wake
            }
        }

        impl $crate::client::Durable for $workflow {
            type Row = $row;
            const QUEUE: $crate::queues::Queue = $queue;
        }
    };
    (
        $(#[$doc:meta])* $workflow:ident($input:ty), $name:literal, $row:ty, $queue:expr,
        repeats $activity:expr, within $timeout:expr
    ) => {
        $crate::poll_loop::wakeable_workflow!(
            $(#[$doc])* $workflow($input), $name, $row, $queue
        );

        impl $workflow {
            async fn serve(
                ctx: &mut temporalio_sdk::WorkflowContext<Self>,
                id: $input,
            ) -> temporalio_sdk::WorkflowResult<()> {
                $crate::poll_loop::poll(ctx, id, async |ctx, _| {
                    let done = ctx.execute_activity($activity, id, $crate::options::regular($timeout));
                    Ok(done.await?.into())
                })
                .await
            }
        }
    };
}
pub(crate) use wakeable_workflow;

/// Repeats `step` with pauses until it is done, then returns once no wake is left. Continues as new with `next` after [`MAX_STEPS`] steps.
/// `step` receives its number.
pub(crate) async fn poll<W: Wakeable>(
    ctx: &mut WorkflowContext<W>,
    next: Input<W>,
    mut step: impl AsyncFnMut(
        &WorkflowContext<W>,
        u32,
    ) -> Result<Progress<PollStep>, WorkflowTermination>,
) -> WorkflowResult<()> {
    let mut pace = Pace::default();
    for n in 0..MAX_STEPS {
        ctx.state(|s| s.flag().clear());
        let done = step(ctx, n).await?;
        match done.step {
            PollStep::Wait { after_ms } => {
                let pace_ms = pace.wait_ms(done.changed, after_ms);
                wait(ctx, after_ms.max(pace_ms)).await;
            }
            PollStep::Done => {
                if is_finished(ctx).await? {
                    return Ok(());
                }
            }
        }
    }
    ctx.continue_as_new(next, ContinueAsNewOptions::default())?;
    Ok(())
}

/// Waits until every update is answered. Returns false if the workflow was woken meanwhile: it must take one more step.
pub(crate) async fn is_finished<W: Wakeable>(ctx: &WorkflowContext<W>) -> WorkflowResult<bool> {
    let me = ctx.clone();
    ctx.wait_condition(move |_| me.all_handlers_finished())
        .await?;
    Ok(!ctx.state(|s| s.flag().is_set()))
}

/// Waits for `after_ms` or for a wake, and returns true if the workflow was woken. This clears the wake, which thus ends one wait. If
/// `after_ms` is zero, it returns false at once and leaves the wake to the next wait.
pub(crate) async fn wait<W: Wakeable>(ctx: &WorkflowContext<W>, after_ms: u64) -> bool {
    if after_ms == 0 {
        return false;
    }
    let loser = ctx.cancellation_token().child_token();
    let timer = TimerOptions::builder(Duration::from_millis(after_ms))
        .cancellation_token(loser.clone())
        .build();
    temporalio_sdk::workflows::select! {
        _ = ctx.timer(timer) => {}
        _ = ctx.wait_condition(|s: &W| s.flag().is_set()) => { loser.cancel_with_reason("woken"); }
    }
    ctx.state(|s| {
        let woken = s.flag().is_set();
        s.flag().clear();
        woken
    })
}
