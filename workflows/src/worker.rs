//! The processes' hands: one worker per task queue, each on a thread of its own, since workflow code is not `Send`.

use std::{sync::Arc, thread, time::Duration};

use activities::{Activities, Registered};
use temporalio_sdk::{
    Runtime, Worker, WorkerOptions,
    runtime::{
        PollerBehavior, RuntimeOptions,
        worker_tuner::{FixedSizeSlotSupplier, TunerHolder},
    },
};
use tokio::{runtime::Handle, sync::oneshot, task::LocalSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Temporal,
    charge::ChargeWorkflow,
    delivery::DeliveryWorkflow,
    endpoint::EndpointWorkflow,
    partitions::PartitionsWorkflow,
    reconcile::ReconcileWorkflow,
    refund::RefundWorkflow,
    sweep::SweepWorkflow,
    upkeep::{CatchUpWorkflow, WatchWorkflow},
};

/// Workflows kept in memory; small, because most sleep for hours (`TEMPORAL.md` §5).
const CACHED_WORKFLOWS: usize = 400;
const WORKFLOW_SLOTS: usize = 100;
const ACTIVITY_SLOTS: usize = 100;
const LOCAL_ACTIVITY_SLOTS: usize = 200;
const POLLERS: usize = 4;
/// How long running activities may take to finish when the process is told to stop.
const GRACE: Duration = Duration::from_secs(20);
/// Between a worker's failure and its next start.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    Charges,
    Deliveries,
    Upkeep,
}

/// Runs workers for `queues` until `stop`; started again if one fails.
pub async fn run(
    temporal: &Temporal,
    activities: &Arc<Activities>,
    queues: &[Queue],
    stop: &CancellationToken,
) {
    let running = queues
        .iter()
        .map(|queue| run_one(temporal.clone(), activities.clone(), *queue, stop.clone()));
    futures::future::join_all(running).await;
}

async fn run_one(
    temporal: Temporal,
    activities: Arc<Activities>,
    queue: Queue,
    stop: CancellationToken,
) {
    loop {
        let (done, finished) = oneshot::channel();
        let (at, activities, inner_stop) = (temporal.clone(), activities.clone(), stop.clone());
        let handle = Handle::current();
        let spawned = thread::Builder::new()
            .name(format!("worker-{queue:?}"))
            .spawn(move || {
                let outcome = handle
                    .block_on(LocalSet::new().run_until(work(at, activities, queue, inner_stop)));
                let _ = done.send(outcome);
            });
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread for a worker");
            return;
        }
        match finished.await {
            Ok(Ok(())) if stop.is_cancelled() => return,
            Ok(Ok(())) => tracing::warn!(?queue, "a worker stopped by itself"),
            Ok(Err(error)) => tracing::error!(?queue, %error, "a worker failed"),
            Err(_) => tracing::error!(?queue, "a worker panicked"),
        }
        if stop
            .run_until_cancelled(pause(RESTART_AFTER))
            .await
            .is_none()
        {
            return;
        }
        temporal.renew().await;
    }
}

async fn work(
    temporal: Temporal,
    activities: Arc<Activities>,
    queue: Queue,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Some(client) = stop.run_until_cancelled(temporal.client()).await else {
        return Ok(());
    };
    let runtime = Runtime::from_current_tokio(RuntimeOptions::default())?;
    let mut worker = Worker::new(&runtime, client, options(&temporal, activities, queue)?)?;
    let shutdown = worker.shutdown_handle();
    let watch = tokio::task::spawn_local(async move {
        stop.cancelled().await;
        shutdown();
    });
    let outcome = worker.run().await;
    watch.abort();
    Ok(outcome?)
}

fn options(
    temporal: &Temporal,
    activities: Arc<Activities>,
    queue: Queue,
) -> anyhow::Result<WorkerOptions> {
    let slots = FixedSizeSlotSupplier::new;
    let name = match queue {
        Queue::Charges => &temporal.queues().charges,
        Queue::Deliveries => &temporal.queues().deliveries,
        Queue::Upkeep => &temporal.queues().upkeep,
    };
    let options = WorkerOptions::new(name.clone())
        .max_cached_workflows(CACHED_WORKFLOWS)
        .workflow_task_poller_behavior(PollerBehavior::SimpleMaximum(POLLERS))
        .activity_task_poller_behavior(PollerBehavior::SimpleMaximum(POLLERS))
        .nonsticky_to_sticky_poll_ratio(0.5)
        .tuner(
            TunerHolder::builder()
                .workflow_task_slot_supplier(slots(WORKFLOW_SLOTS))
                .activity_task_slot_supplier(slots(ACTIVITY_SLOTS))
                .local_activity_task_slot_supplier(slots(LOCAL_ACTIVITY_SLOTS))
                .nexus_task_slot_supplier(slots(1))
                .build(),
        )
        .graceful_shutdown_period(GRACE)
        .register_activities(Registered(activities));
    Ok(match queue {
        Queue::Charges => options.register_workflow::<ChargeWorkflow>()?.build(),
        Queue::Deliveries => options
            .register_workflow::<DeliveryWorkflow>()?
            .register_workflow::<EndpointWorkflow>()?
            .build(),
        Queue::Upkeep => options
            .register_workflow::<ReconcileWorkflow>()?
            .register_workflow::<RefundWorkflow>()?
            .register_workflow::<SweepWorkflow>()?
            .register_workflow::<PartitionsWorkflow>()?
            .register_workflow::<CatchUpWorkflow>()?
            .register_workflow::<WatchWorkflow>()?
            .build(),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "not workflow code: a failed worker is started again after a while"
)]
async fn pause(length: Duration) {
    tokio::time::sleep(length).await;
}
