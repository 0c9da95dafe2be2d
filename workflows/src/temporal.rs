//! Connection to Temporal. Nothing is lost while Temporal is down, since only the rows determine what is unfinished.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use activities::{Started, Starter, Subject};
use async_trait::async_trait;
use schemas::id::{AttemptId, ChargeId, EndpointId, MerchantId, RefundId};
use store::deliveries::PendingDelivery;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, GrpcCompression, RetryOptions,
    RpcOptions, WorkflowExecuteUpdateOptions, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
    WorkflowStartOptions,
    errors::{WorkflowStartError, WorkflowUpdateError},
    tonic::{Code, Status},
};
use temporalio_common::search_attributes::{SearchAttributeUpdate, SearchAttributes};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    Queues,
    charge::ChargeWorkflow,
    delivery::{DeliveryInput, DeliveryWorkflow},
    endpoint::EndpointWorkflow,
    orphan::OrphanWorkflow,
    queues::{CHARGE_ID, ENDPOINT_ID, MERCHANT_ID, TASK_TIMEOUT},
    refund::RefundWorkflow,
};

/// Timeout of a start. The row is committed, and the sweep starts the workflow later.
const START_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Timeout of a start that no caller waits for.
const PATIENT_START_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a wake.
const WAKE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for which Temporal counts as down after a failure, so that not every charge waits for a timeout.
const AWAY_FOR: Duration = Duration::from_secs(2);
/// Pause between tries to connect.
const RECONNECT_AFTER: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of calls that set Temporal up.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of deliveries that one process starts at a time.
const STARTS_AT_A_TIME: usize = 16;
/// Maximum number of deliveries of one process that wait to be started. More are left to the sweep.
const MAX_STARTS_WAITING: usize = 10_000;
/// Pauses before a delivery's start is retried. A delivery that does not start after the last one is left to the sweep.
const START_RETRIES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// Address and credentials of Temporal.
#[derive(Clone, Debug)]
pub struct TemporalConfig {
    pub url: Url,
    pub namespace: String,
    /// API key for Temporal Cloud. Enables TLS.
    pub api_key: Option<secrecy::SecretString>,
}

/// Starts and wakes workflows. Cheap to clone.
#[derive(Clone)]
pub struct Temporal(Arc<Inner>);

struct Inner {
    config: TemporalConfig,
    client: RwLock<Option<Client>>,
    connected: tokio::sync::Notify,
    queues: Queues,
    tracker: TaskTracker,
    starts: tokio::sync::Semaphore,
    starts_waiting: Arc<tokio::sync::Semaphore>,
    born: Instant,
    away_until_ms: AtomicU64,
}

impl Inner {
    fn client(&self) -> Option<Client> {
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner);
        client.clone()
    }

    fn set(&self, client: Client) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = Some(client);
        self.connected.notify_waiters();
    }
}

/// Error of a start or a wake that did not reach a workflow.
#[derive(Debug)]
pub(crate) struct Away;

impl Temporal {
    /// Connects in the background, and retries until it is connected or `stop` is canceled.
    pub fn connect(
        config: TemporalConfig,
        queues: Queues,
        tracker: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let inner = Arc::new(Inner {
            config,
            client: RwLock::default(),
            connected: tokio::sync::Notify::new(),
            queues,
            tracker: tracker.clone(),
            starts: tokio::sync::Semaphore::new(STARTS_AT_A_TIME),
            starts_waiting: Arc::new(tokio::sync::Semaphore::new(MAX_STARTS_WAITING)),
            born: Instant::now(),
            away_until_ms: AtomicU64::new(0),
        });
        let temporal = Self(inner);
        let (connecting, stop) = (Arc::downgrade(&temporal.0), stop.clone());
        tracker.spawn(async move {
            let connecting = async {
                while let Some(inner) = connecting.upgrade() {
                    match open(&inner.config).await {
                        Ok(client) => return inner.set(client),
                        Err(error) => tracing::warn!(%error, "Temporal is away"),
                    }
                    drop(inner);
                    pause(RECONNECT_AFTER).await;
                }
            };
            stop.run_until_cancelled(connecting).await;
        });
        temporal
    }

    /// Returns the client, and waits until it is connected.
    pub async fn client(&self) -> Client {
        loop {
            let connected = self.0.connected.notified();
            if let Some(client) = self.0.client() {
                return client;
            }
            connected.await;
        }
    }

    /// Reconnects after a worker ended without deregistering: the old client still counts it as registered and accepts no second worker for
    /// its queue. Workers that still run retain the old client; eager starts no longer reach them.
    pub(crate) async fn renew(&self) {
        match open(&self.0.config).await {
            Ok(client) => self.0.set(client),
            Err(error) => tracing::warn!(%error, "Temporal is away"),
        }
    }

    /// Returns the names of the task queues.
    pub fn queues(&self) -> &Queues {
        &self.0.queues
    }

    /// Returns true if Temporal is connected and did not fail recently.
    pub fn is_up(&self) -> bool {
        self.0.client().is_some() && self.now_ms() >= self.0.away_until_ms.load(Ordering::Relaxed)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn reachable(&self) -> Result<Client, Away> {
        self.0.client().filter(|_| self.is_up()).ok_or(Away)
    }

    fn lost(&self, what: &str, error: &dyn std::fmt::Display) -> Away {
        let until = self.now_ms() + u64::try_from(AWAY_FOR.as_millis()).unwrap_or(0);
        self.0.away_until_ms.store(until, Ordering::Relaxed);
        note_failure(what, error);
        Away
    }

    /// Starts a charge's workflow, eagerly if this process has a worker for it. Succeeds if the workflow already runs.
    pub(crate) async fn start_charge(
        &self,
        merchant: MerchantId,
        charge: ChargeId,
    ) -> Result<(), Away> {
        self.start_soon(Subject::Charge(merchant, charge)).await
    }

    /// Starts a workflow that a caller or a charge waits for. If Temporal does not respond, it counts as down.
    async fn start_soon(&self, subject: Subject) -> Result<(), Away> {
        let client = self.reachable()?;
        match self.launch(&client, subject, START_TIMEOUT).await {
            Ok(()) | Err(WorkflowStartError::AlreadyStarted { .. }) => Ok(()),
            // Temporal refused only this start; it may accept the next one.
            Err(error) if refusal(&error).is_some() => {
                note_failure("start", &error);
                Err(Away)
            }
            Err(error) => Err(self.lost("start", &error)),
        }
    }

    /// Starts a workflow.
    async fn launch(
        &self,
        client: &Client,
        subject: Subject,
        within: Duration,
    ) -> Result<(), WorkflowStartError> {
        let queues = &self.0.queues;
        match subject {
            Subject::Charge(merchant, charge) => {
                let found_by = found_by(merchant, Some(charge));
                let options = start_options(&queues.charges, &charge, found_by, within);
                let started = client.start_workflow(ChargeWorkflow::run, charge, options);
                started.await.map(drop)
            }
            Subject::Orphan(merchant, charge, attempt) => {
                let found_by = found_by(merchant, Some(charge));
                let options = start_options(&queues.maintenance, &attempt, found_by, within);
                let started = client.start_workflow(OrphanWorkflow::run, attempt, options);
                started.await.map(drop)
            }
            Subject::Refund(merchant, charge, refund) => {
                let found_by = found_by(merchant, Some(charge));
                let options = start_options(&queues.maintenance, &refund, found_by, within);
                let started = client.start_workflow(RefundWorkflow::run, refund, options);
                started.await.map(drop)
            }
            Subject::Delivery(due) => {
                let mut found_by = found_by(due.merchant, due.charge);
                found_by.push(ENDPOINT_ID.value_set(due.endpoint.to_string()));
                let options = start_options(&queues.deliveries, &due.delivery, found_by, within);
                let input = DeliveryInput {
                    delivery: due.delivery,
                    slow: due.slow,
                    after_ms: due.after_ms,
                };
                let started = client.start_workflow(DeliveryWorkflow::run, input, options);
                started.await.map(drop)
            }
            Subject::Endpoint(merchant, endpoint) => {
                let mut found_by = found_by(merchant, None);
                found_by.push(ENDPOINT_ID.value_set(endpoint.to_string()));
                let options = start_options(&queues.deliveries, &endpoint, found_by, within);
                let started = client.start_workflow(EndpointWorkflow::run, endpoint, options);
                started.await.map(drop)
            }
        }
    }

    /// Makes a running workflow check its row. Returns `Ok(false)` if no such workflow runs.
    async fn wake_one(&self, client: &Client, subject: Subject) -> Result<bool, Away> {
        let woken = match subject {
            Subject::Charge(_, charge) => {
                let handle = client.get_workflow_handle::<ChargeWorkflow>(charge.to_string());
                let woken = handle.execute_update(ChargeWorkflow::wake, (), wake_options());
                woken.await
            }
            Subject::Orphan(_, _, attempt) => {
                let handle = client.get_workflow_handle::<OrphanWorkflow>(attempt.to_string());
                let woken = handle.execute_update(OrphanWorkflow::wake, (), wake_options());
                woken.await
            }
            Subject::Refund(_, _, refund) => {
                let handle = client.get_workflow_handle::<RefundWorkflow>(refund.to_string());
                let woken = handle.execute_update(RefundWorkflow::wake, (), wake_options());
                woken.await
            }
            Subject::Delivery(due) => {
                let id = due.delivery.to_string();
                let handle = client.get_workflow_handle::<DeliveryWorkflow>(id);
                let woken = handle.execute_update(DeliveryWorkflow::wake, (), wake_options());
                woken.await
            }
            Subject::Endpoint(_, endpoint) => {
                let handle = client.get_workflow_handle::<EndpointWorkflow>(endpoint.to_string());
                let woken = handle.execute_update(EndpointWorkflow::wake, (), wake_options());
                woken.await
            }
        };
        judge_wake(woken)
    }

    /// Starts a committed delivery's workflow, and retries while Temporal does not respond: a busy Temporal loses starts, and the sweep
    /// finds them only a minute later.
    async fn start_delivery(&self, due: PendingDelivery) {
        for wait in START_RETRIES.into_iter().map(Some).chain([None]) {
            let permit = self.0.starts.acquire().await;
            let started = self.start(Subject::Delivery(due)).await;
            drop(permit);
            match wait {
                Some(wait) if started == Started::Away && !self.0.tracker.is_closed() => {
                    pause(wait).await;
                }
                _ => return,
            }
        }
    }

    /// Wakes a workflow, or starts it if it does not run.
    async fn wake_or_start(&self, subject: Subject) {
        let Ok(client) = self.reachable() else { return };
        if let Ok(false) = self.wake_one(&client, subject).await {
            let _: Result<(), Away> = self.start_soon(subject).await;
        }
    }
}

#[async_trait]
impl Starter for Temporal {
    fn temporal_is_up(&self) {
        self.0.away_until_ms.store(0, Ordering::Relaxed);
    }

    fn start_deliveries(&self, due: Vec<PendingDelivery>) {
        for due in due {
            let Ok(place) = self.0.starts_waiting.clone().try_acquire_owned() else {
                metrics::counter!("delivery_starts_left_to_sweep_total").increment(1);
                continue;
            };
            let temporal = self.clone();
            self.0.tracker.spawn(async move {
                temporal.start_delivery(due).await;
                drop(place);
            });
        }
    }

    fn start_orphan(&self, merchant: MerchantId, charge: ChargeId, attempt: AttemptId) {
        let temporal = self.clone();
        self.0
            .tracker
            .spawn(async move { temporal.wake_orphan(merchant, charge, attempt).await });
    }

    async fn start(&self, subject: Subject) -> Started {
        let Ok(client) = self.reachable() else {
            return Started::Away;
        };
        match self.launch(&client, subject, PATIENT_START_TIMEOUT).await {
            Ok(()) => Started::Now,
            Err(WorkflowStartError::AlreadyStarted { .. }) => Started::AlreadyRuns,
            // The cause may be this workflow or the burst of starts, so Temporal does not count as down for other callers.
            Err(error) => {
                note_failure("patient_start", &error);
                refusal(&error).map_or(Started::Away, Started::Refused)
            }
        }
    }

    async fn wake(&self, subject: Subject) -> bool {
        let Ok(client) = self.reachable() else {
            return false;
        };
        matches!(self.wake_one(&client, subject).await, Ok(true))
    }

    async fn wake_charge(&self, merchant: MerchantId, charge: ChargeId) {
        self.wake_or_start(Subject::Charge(merchant, charge)).await;
    }

    async fn wake_delivery(&self, due: PendingDelivery) {
        self.wake_or_start(Subject::Delivery(due)).await;
    }

    async fn wake_endpoint(&self, merchant: MerchantId, endpoint: EndpointId) {
        self.wake_or_start(Subject::Endpoint(merchant, endpoint))
            .await;
    }

    async fn wake_refund(&self, merchant: MerchantId, charge: ChargeId, refund: RefundId) {
        self.wake_or_start(Subject::Refund(merchant, charge, refund))
            .await;
    }

    async fn wake_orphan(&self, merchant: MerchantId, charge: ChargeId, attempt: AttemptId) {
        self.wake_or_start(Subject::Orphan(merchant, charge, attempt))
            .await;
    }
}

/// Returns the reason of a refused start. Returns `None` if Temporal did not respond or the connection failed.
fn refusal(error: &WorkflowStartError) -> Option<&'static str> {
    match error {
        WorkflowStartError::Rpc(status) if is_answer(status) => Some(status.code().description()),
        WorkflowStartError::Rpc(_) => None,
        _ => Some("the start could not be written"),
    }
}

/// Returns true if the server refused this one request. An overloaded or failing server refuses all of them, and the transport creates
/// its own statuses, which have a source error.
fn is_answer(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Internal
        | Code::Unknown => false,
        _ => std::error::Error::source(status).is_none(),
    }
}

/// Returns the search attributes of a workflow.
fn found_by(merchant: MerchantId, charge: Option<ChargeId>) -> Vec<SearchAttributeUpdate> {
    let merchant = MERCHANT_ID.value_set(merchant.to_string());
    let charge = charge.map(|charge| CHARGE_ID.value_set(charge.to_string()));
    std::iter::once(merchant).chain(charge).collect()
}

/// Returns true if the workflow was woken. Returns `Ok(false)` if no such workflow runs.
fn judge_wake(woken: Result<(), WorkflowUpdateError>) -> Result<bool, Away> {
    match woken {
        Ok(()) => Ok(true),
        // It closed before it handled the update, and its row may contain a change that it has not read.
        Err(WorkflowUpdateError::NotFound(_) | WorkflowUpdateError::Failed(_)) => Ok(false),
        // A busy worker responds as late as an absent server, so other starts and wakes must still be tried.
        Err(error) => {
            note_failure("wake", &error);
            Err(Away)
        }
    }
}

pub(crate) async fn open(
    config: &TemporalConfig,
) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    use secrecy::ExposeSecret;
    let options = ConnectionOptions::new(config.url.clone())
        .identity(format!("payment-orchestrator@{}", std::process::id()))
        .grpc_compression(GrpcCompression::None)
        .connect_timeout(CONNECT_TIMEOUT)
        .maybe_api_key(
            config
                .api_key
                .as_ref()
                .map(|key| key.expose_secret().to_owned()),
        )
        .build();
    let connection = Connection::connect(options).await?;
    Ok(Client::new(
        connection,
        ClientOptions::new(config.namespace.clone()).build(),
    )?)
}

fn note_failure(what: &str, error: &dyn std::fmt::Display) {
    tracing::warn!(%error, what, "Temporal did not answer");
    metrics::counter!("temporal_failures_total", "what" => what.to_owned()).increment(1);
}

/// Returns options of an idempotent start: a running workflow is not changed; a closed one is started again and returns at once if its row
/// is final.
fn start_options(
    queue: &str,
    id: &impl ToString,
    found_by: Vec<SearchAttributeUpdate>,
    within: Duration,
) -> WorkflowStartOptions {
    WorkflowStartOptions::new(queue, id.to_string())
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
        .search_attributes(SearchAttributes::new(found_by))
        .enable_eager_workflow_start(true)
        .task_timeout(TASK_TIMEOUT)
        .rpc_options(
            RpcOptions::builder()
                .timeout(within)
                .retry_options(RetryOptions::no_retries())
                .build(),
        )
        .build()
}

fn wake_options() -> WorkflowExecuteUpdateOptions {
    WorkflowExecuteUpdateOptions::builder()
        .rpc_options(
            RpcOptions::builder()
                .timeout(WAKE_TIMEOUT)
                .retry_options(RetryOptions::no_retries())
                .build(),
        )
        .build()
}

#[expect(
    clippy::disallowed_methods,
    reason = "not workflow code: the process waits to connect again"
)]
pub(crate) async fn pause(length: Duration) {
    tokio::time::sleep(length).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: Status) -> Option<&'static str> {
        refusal(&WorkflowStartError::Rpc(status))
    }

    #[test]
    fn a_refused_start_is_distinguished_from_an_absent_or_overloaded_server() {
        for code in [
            Code::Unavailable,
            Code::DeadlineExceeded,
            Code::Cancelled,
            Code::ResourceExhausted,
            Code::Aborted,
            Code::Internal,
            Code::Unknown,
        ] {
            assert_eq!(of(Status::new(code, "the server is away")), None, "{code}");
        }
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(of(Status::from_error(Box::new(broken))), None);
        for code in [
            Code::InvalidArgument,
            Code::NotFound,
            Code::PermissionDenied,
            Code::FailedPrecondition,
        ] {
            assert_eq!(of(Status::new(code, "no")), Some(code.description()));
        }
    }
}
