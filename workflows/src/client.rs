//! Client that starts and wakes workflows.

use std::{sync::Arc, time::Duration};

use activities::retry::client::{PATIENT_START_TIMEOUT, START_TIMEOUT, WAKE_TIMEOUT};
use activities::retry::workflow::TASK_TIMEOUT;
use activities::{Away, Served, Started, Starter, Subject};
use async_trait::async_trait;
use schemas::id::{ChargeId, EndpointId, MerchantId};
use store::deliveries::PendingDelivery;
use temporalio_client::{
    Client, RetryOptions, RpcOptions, WorkflowExecuteUpdateOptions, WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy, WorkflowStartOptions,
};
use temporalio_common::search_attributes::{SearchAttributeUpdate, SearchAttributes};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Queues,
    charge::ChargeWorkflow,
    delivery::DeliveryWorkflow,
    endpoint::EndpointWorkflow,
    orphan::OrphanWorkflow,
    poll_loop::{Input, Wakeable},
    queues::{BUILD_IDS, CHARGE_ID, ENDPOINT_ID, MERCHANT_ID, Queue, build_ids},
    refund::RefundWorkflow,
};

pub(crate) mod connection;
mod delivery_starts;

pub use connection::TemporalConfig;
use connection::TemporalConnection;
use delivery_starts::DeliveryStarts;

/// Workflow that serves one row, as the client starts and wakes it.
pub(crate) trait Durable: Wakeable {
    /// Row that it serves.
    type Row: Row<Input = Input<Self>>;
    /// Queue of its tasks.
    const QUEUE: Queue;
}

/// Row that a workflow serves.
pub(crate) trait Row: Send + Sync {
    /// Input of the workflow.
    type Input: Send;

    /// Returns the workflow's id.
    fn id(&self) -> String;
    /// Returns the workflow's input.
    fn input(&self) -> Self::Input;
    /// Returns the ids by which the workflow is found.
    fn found_by(&self) -> FoundBy;
}

impl<I: Copy + ToString + Send + Sync> Row for Served<I> {
    type Input = I;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn input(&self) -> I {
        self.id
    }

    fn found_by(&self) -> FoundBy {
        FoundBy {
            merchant: self.merchant,
            charge: self.charge,
            endpoint: self.endpoint,
        }
    }
}

/// Ids by which a workflow is found.
pub(crate) struct FoundBy {
    pub merchant: MerchantId,
    pub charge: Option<ChargeId>,
    pub endpoint: Option<EndpointId>,
}

impl FoundBy {
    fn search_attributes(&self) -> SearchAttributes {
        let charge = self.charge.map(|id| CHARGE_ID.value_set(id.to_string()));
        let endpoint = self
            .endpoint
            .map(|id| ENDPOINT_ID.value_set(id.to_string()));
        let always: [SearchAttributeUpdate; 2] = [
            MERCHANT_ID.value_set(self.merchant.to_string()),
            BUILD_IDS.value_set(build_ids()),
        ];
        SearchAttributes::new(always.into_iter().chain(charge).chain(endpoint))
    }
}

/// Starts and wakes workflows. Cheap to clone.
#[derive(Clone)]
pub struct WorkflowClient(Arc<Inner>);

struct Inner {
    connection: TemporalConnection,
    queues: Queues,
    tracker: TaskTracker,
    deliveries: DeliveryStarts,
}

impl WorkflowClient {
    /// Connects in the background, and retries until it is connected or `stop` is canceled.
    pub fn connect(
        config: TemporalConfig,
        queues: Queues,
        tracker: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let client = Self(Arc::new(Inner {
            connection: TemporalConnection::new(config),
            queues,
            tracker: tracker.clone(),
            deliveries: DeliveryStarts::new(tracker.clone(), stop.clone()),
        }));
        let (inner, stop) = (Arc::downgrade(&client.0), stop.clone());
        tracker.spawn(async move {
            let connecting = async {
                while let Some(inner) = inner.upgrade() {
                    if inner.connection.connect().await {
                        return;
                    }
                    drop(inner);
                    TemporalConnection::rest().await;
                }
            };
            stop.run_until_cancelled(connecting).await;
        });
        client
    }

    /// Returns the SDK's client, and waits until it is connected.
    pub async fn client(&self) -> Client {
        self.0.connection.client().await
    }

    /// Reconnects after a worker ended without deregistering: the old client still counts it as registered and accepts no second worker for
    /// its queue. Workers that still run retain the old client; eager starts no longer reach them.
    pub(crate) async fn renew(&self) {
        self.0.connection.connect().await;
    }

    /// Returns the names of the task queues.
    pub fn queues(&self) -> &Queues {
        &self.0.queues
    }

    /// Returns true if Temporal is connected and did not fail recently.
    pub fn is_up(&self) -> bool {
        self.0.connection.is_up()
    }

    /// Starts the workflow of a row that a caller waits for, eagerly if this process has a worker for it. If Temporal does not answer, it
    /// counts as down.
    pub(crate) async fn start_now(&self, subject: Subject) -> Started {
        self.start_any(subject, true).await
    }

    async fn start_any(&self, subject: Subject, is_awaited: bool) -> Started {
        match subject {
            Subject::Charge(row) => self.start::<ChargeWorkflow>(&row, is_awaited).await,
            Subject::Orphan(row) => self.start::<OrphanWorkflow>(&row, is_awaited).await,
            Subject::Refund(row) => self.start::<RefundWorkflow>(&row, is_awaited).await,
            Subject::Delivery(row) => self.start::<DeliveryWorkflow>(&row, is_awaited).await,
            Subject::Endpoint(row) => self.start::<EndpointWorkflow>(&row, is_awaited).await,
        }
    }

    /// Starts a workflow. The start is idempotent: a running workflow is not changed; a closed one is started again and returns at once if
    /// its row is final.
    async fn start<W: Durable>(&self, row: &W::Row, is_awaited: bool) -> Started {
        let Ok(client) = self.0.connection.reachable() else {
            return Started::Away;
        };
        let timeout = if is_awaited {
            START_TIMEOUT
        } else {
            PATIENT_START_TIMEOUT
        };
        let options = WorkflowStartOptions::new(self.0.queues.name(W::QUEUE), row.id())
            .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
            .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
            .search_attributes(row.found_by().search_attributes())
            .enable_eager_workflow_start(true)
            .task_timeout(TASK_TIMEOUT)
            .rpc_options(once(timeout))
            .build();
        let started = client.start_workflow(W::run_definition(), row.input(), options);
        let started = started.await.map(drop);
        self.0.connection.judge_start(started, is_awaited)
    }

    async fn wake_any(&self, subject: Subject) -> Result<bool, Away> {
        match subject {
            Subject::Charge(row) => self.wake::<ChargeWorkflow>(&row).await,
            Subject::Orphan(row) => self.wake::<OrphanWorkflow>(&row).await,
            Subject::Refund(row) => self.wake::<RefundWorkflow>(&row).await,
            Subject::Delivery(row) => self.wake::<DeliveryWorkflow>(&row).await,
            Subject::Endpoint(row) => self.wake::<EndpointWorkflow>(&row).await,
        }
    }

    /// Makes a running workflow check its row. Returns `Ok(false)` if no such workflow runs.
    async fn wake<W: Durable>(&self, row: &W::Row) -> Result<bool, Away> {
        let client = self.0.connection.reachable()?;
        let options = WorkflowExecuteUpdateOptions::builder()
            .rpc_options(once(WAKE_TIMEOUT))
            .build();
        let workflow = client.get_workflow_handle::<W::Run>(row.id());
        let woken = workflow.execute_update(W::wake_definition(), (), options);
        self.0.connection.judge_wake(woken.await)
    }
}

#[async_trait]
impl Starter for WorkflowClient {
    fn temporal_is_up(&self) {
        self.0.connection.answered();
    }

    fn start_deliveries(&self, due: Vec<PendingDelivery>) {
        for due in due {
            let client = self.clone();
            let start = move || {
                let client = client.clone();
                async move { Starter::start(&client, Subject::Delivery(due)).await }
            };
            self.0.deliveries.submit(due.merchant, start);
        }
    }

    fn wake_later(&self, subject: Subject) {
        let client = self.clone();
        self.0.tracker.spawn(async move {
            // the row is due: the sweep finds it
            let _: Result<(), Away> = client.wake_or_start(subject).await;
        });
    }

    async fn start(&self, subject: Subject) -> Started {
        self.start_any(subject, false).await
    }

    async fn wake(&self, subject: Subject) -> bool {
        matches!(self.wake_any(subject).await, Ok(true))
    }

    async fn wake_or_start(&self, subject: Subject) -> Result<(), Away> {
        if self.wake_any(subject).await? {
            return Ok(());
        }
        match self.start_any(subject, true).await {
            Started::Now | Started::AlreadyRuns => Ok(()),
            Started::Away | Started::Refused(_) => Err(Away),
        }
    }
}

/// Returns the options of a call that is not retried.
fn once(timeout: Duration) -> RpcOptions {
    RpcOptions::builder()
        .timeout(timeout)
        .retry_options(RetryOptions::no_retries())
        .build()
}
