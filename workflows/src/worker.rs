//! Temporal workers, one per task queue. Each has its own thread, because workflow code is not `Send`.

use std::{sync::Arc, thread};

use activities::retry::workflow::{GRACE, RESTART_AFTER};
use activities::{
    Activities, ChargeActivities, DeliveryActivities, OrphanActivities, PartitionActivities,
    PollingActivities, RefundActivities, RegistrationActivities, SweepActivities,
};
use temporalio_common::worker::WorkerDeploymentOptions;
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
    Queue, WorkflowClient,
    charge::ChargeWorkflow,
    delivery::DeliveryWorkflow,
    endpoint::EndpointWorkflow,
    maintenance::{
        CheckConnectionsWorkflow, PartitionsWorkflow, PollConnectionsWorkflow, SweepWorkflow,
    },
    orphan::OrphanWorkflow,
    pause,
    queues::BUILD_ID,
    refund::RefundWorkflow,
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
    client: &WorkflowClient,
    activities: &Arc<Activities>,
    (queues, sizes): (&[Queue], Sizes),
    stop: &CancellationToken,
) {
    let running = queues.iter().map(|queue| {
        let (client, activities) = (client.clone(), activities.clone());
        run_one(client, activities, (*queue, sizes), stop.clone())
    });
    futures::future::join_all(running).await;
}

async fn run_one(
    client: WorkflowClient,
    activities: Arc<Activities>,
    (queue, sizes): (Queue, Sizes),
    stop: CancellationToken,
) {
    loop {
        let (done, finished) = oneshot::channel();
        let (at, activities, inner_stop) = (client.clone(), activities.clone(), stop.clone());
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
        client.renew().await;
    }
}

async fn work(
    client: WorkflowClient,
    activities: Arc<Activities>,
    (queue, sizes): (Queue, Sizes),
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Some(connected) = stop.run_until_cancelled(client.client()).await else {
        return Ok(());
    };
    let runtime = Runtime::from_current_tokio(RuntimeOptions::default())?;
    let mut worker = Worker::new(
        &runtime,
        connected,
        options(&client, activities, (queue, sizes))?,
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
    client: &WorkflowClient,
    activities: Arc<Activities>,
    (queue, sizes): (Queue, Sizes),
) -> anyhow::Result<WorkerOptions> {
    let (slots, size) = (FixedSizeSlotSupplier::new, sizes.of(queue));
    let options = WorkerOptions::new(client.queues().name(queue))
        .deployment_options(WorkerDeploymentOptions::from_build_id(BUILD_ID.to_owned()))
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
        .graceful_shutdown_period(GRACE);
    Ok(match queue {
        Queue::Charges => options
            .register_activities(ChargeActivities(activities))
            .register_workflow::<ChargeWorkflow>()?
            .build(),
        Queue::Deliveries => options
            .register_activities(DeliveryActivities(activities))
            .register_workflow::<DeliveryWorkflow>()?
            .register_workflow::<EndpointWorkflow>()?
            .build(),
        Queue::Maintenance => options
            .register_activities(OrphanActivities(activities.clone()))
            .register_activities(RefundActivities(activities.clone()))
            .register_activities(SweepActivities(activities.clone()))
            .register_activities(PartitionActivities(activities.clone()))
            .register_activities(PollingActivities(activities.clone()))
            .register_activities(RegistrationActivities(activities))
            .register_workflow::<OrphanWorkflow>()?
            .register_workflow::<RefundWorkflow>()?
            .register_workflow::<SweepWorkflow>()?
            .register_workflow::<PartitionsWorkflow>()?
            .register_workflow::<PollConnectionsWorkflow>()?
            .register_workflow::<CheckConnectionsWorkflow>()?
            .build(),
    })
}
