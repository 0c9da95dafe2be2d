//! Temporal workers, one per task queue. Each has its own thread, because workflow code is not `Send`.

use std::{sync::Arc, thread, time::Duration};

use activities::{Activities, TemporalActivities};
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
    maintenance::{CheckConnectionsWorkflow, PollConnectionsWorkflow},
    orphan::OrphanWorkflow,
    partitions::PartitionsWorkflow,
    refund::RefundWorkflow,
    sweep::SweepWorkflow,
};

/// Maximum number of charges' workflows in the cache, which also bounds their concurrent workflow tasks. It is small, because most
/// workflows sleep for hours. A long call leaves its task after `Timing::activity`, so this is enough for several hundred new charges per
/// second.
const CACHED_CHARGES: usize = 1_000;
/// Maximum number of other workflows in the cache.
const CACHED_WORKFLOWS: usize = 400;
/// Maximum number of concurrent workflow tasks of deliveries and maintenance.
const WORKFLOW_SLOTS: usize = 400;
/// Slots for regular activities of charges, whose workflows have only local activities.
const NO_SLOTS: usize = 1;
const POLLERS: usize = 4;
/// Minimum that the SDK accepts.
const MIN_WORKFLOW_SLOTS: usize = 2;
/// Maximum time for running activities to finish when the process stops.
const GRACE: Duration = Duration::from_secs(20);
/// Pause between a worker's failure and its restart.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// Kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    Charges,
    Deliveries,
    Maintenance,
}

/// Concurrency limits of the workers of one process. Waiting work uses memory and a socket, but no connection to the database.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Calls to gateways.
    pub calls: usize,
    /// Deliveries to merchants' servers.
    pub deliveries: usize,
    /// Refunds, searches for abandoned attempts, scheduled jobs.
    pub maintenance: usize,
}

/// Concurrency limits of one worker.
struct Slots {
    cached: usize,
    workflow_tasks: usize,
    activities: usize,
    local_activities: usize,
}

impl Sizes {
    fn of(self, queue: Queue) -> Slots {
        match queue {
            Queue::Charges => Slots {
                cached: CACHED_CHARGES,
                workflow_tasks: self.calls.clamp(MIN_WORKFLOW_SLOTS, CACHED_CHARGES),
                activities: NO_SLOTS,
                local_activities: self.calls.max(1),
            },
            // The first attempt is a local activity; later ones are regular activities.
            Queue::Deliveries => Slots {
                cached: CACHED_WORKFLOWS,
                workflow_tasks: WORKFLOW_SLOTS,
                activities: self.deliveries.max(1),
                local_activities: self.deliveries.max(1),
            },
            Queue::Maintenance => Slots {
                cached: CACHED_WORKFLOWS,
                workflow_tasks: WORKFLOW_SLOTS,
                activities: self.maintenance.max(1),
                local_activities: self.maintenance.max(1),
            },
        }
    }
}

/// Runs workers for `queues` until `stop` is canceled. Restarts a worker that fails.
pub async fn run(
    temporal: &Temporal,
    activities: &Arc<Activities>,
    (queues, sizes): (&[Queue], Sizes),
    stop: &CancellationToken,
) {
    let running = queues.iter().map(|queue| {
        let (temporal, activities) = (temporal.clone(), activities.clone());
        run_one(temporal, activities, (*queue, sizes), stop.clone())
    });
    futures::future::join_all(running).await;
}

async fn run_one(
    temporal: Temporal,
    activities: Arc<Activities>,
    (queue, sizes): (Queue, Sizes),
    stop: CancellationToken,
) {
    loop {
        let (done, finished) = oneshot::channel();
        let (at, activities, inner_stop) = (temporal.clone(), activities.clone(), stop.clone());
        let handle = Handle::current();
        let spawned = thread::Builder::new()
            .name(format!("worker-{queue:?}"))
            .spawn(move || {
                let outcome = handle.block_on(LocalSet::new().run_until(work(
                    at,
                    activities,
                    (queue, sizes),
                    inner_stop,
                )));
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
    (queue, sizes): (Queue, Sizes),
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Some(client) = stop.run_until_cancelled(temporal.client()).await else {
        return Ok(());
    };
    let runtime = Runtime::from_current_tokio(RuntimeOptions::default())?;
    let mut worker = Worker::new(
        &runtime,
        client,
        options(&temporal, activities, (queue, sizes))?,
    )?;
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
    (queue, sizes): (Queue, Sizes),
) -> anyhow::Result<WorkerOptions> {
    let (slots, size) = (FixedSizeSlotSupplier::new, sizes.of(queue));
    let name = match queue {
        Queue::Charges => &temporal.queues().charges,
        Queue::Deliveries => &temporal.queues().deliveries,
        Queue::Maintenance => &temporal.queues().maintenance,
    };
    let options = WorkerOptions::new(name.clone())
        .max_cached_workflows(size.cached)
        .workflow_task_poller_behavior(PollerBehavior::SimpleMaximum(POLLERS))
        .activity_task_poller_behavior(PollerBehavior::SimpleMaximum(POLLERS))
        .nonsticky_to_sticky_poll_ratio(0.5)
        .tuner(
            TunerHolder::builder()
                .workflow_task_slot_supplier(slots(size.workflow_tasks))
                .activity_task_slot_supplier(slots(size.activities))
                .local_activity_task_slot_supplier(slots(size.local_activities))
                .nexus_task_slot_supplier(slots(1))
                .build(),
        )
        .graceful_shutdown_period(GRACE)
        .register_activities(TemporalActivities(activities));
    Ok(match queue {
        Queue::Charges => options.register_workflow::<ChargeWorkflow>()?.build(),
        Queue::Deliveries => options
            .register_workflow::<DeliveryWorkflow>()?
            .register_workflow::<EndpointWorkflow>()?
            .build(),
        Queue::Maintenance => options
            .register_workflow::<OrphanWorkflow>()?
            .register_workflow::<RefundWorkflow>()?
            .register_workflow::<SweepWorkflow>()?
            .register_workflow::<PartitionsWorkflow>()?
            .register_workflow::<PollConnectionsWorkflow>()?
            .register_workflow::<CheckConnectionsWorkflow>()?
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
