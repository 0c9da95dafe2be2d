//! Connection to Temporal, and its availability. Nothing is lost while Temporal is down, since only the rows determine what is unfinished.

use std::{
    error::Error,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use activities::retry::client::{AWAY_FOR, CONNECT_TIMEOUT, RECONNECT_AFTER};
use activities::{Away, Started};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, GrpcCompression,
    errors::{WorkflowStartError, WorkflowUpdateError},
    tonic::{Code, Status},
};
use tokio::sync::Notify;
use url::Url;

use crate::pause;

/// Type of the error details of a request to a namespace that does not exist.
const NO_NAMESPACE: &[u8] = b"NamespaceNotFoundFailure";

/// Address and credentials of Temporal.
#[derive(Clone, Debug)]
pub struct TemporalConfig {
    pub url: Url,
    pub namespace: String,
    /// API key for Temporal Cloud. Enables TLS.
    pub api_key: Option<secrecy::SecretString>,
}

/// Connection of this process.
pub(super) struct TemporalConnection {
    config: TemporalConfig,
    client: RwLock<Option<Client>>,
    connected: Notify,
    born: Instant,
    away_until_ms: AtomicU64,
}

impl TemporalConnection {
    pub(super) fn new(config: TemporalConfig) -> Self {
        Self {
            config,
            client: RwLock::default(),
            connected: Notify::new(),
            born: Instant::now(),
            away_until_ms: AtomicU64::new(0),
        }
    }

    /// Connects once. Returns true if it succeeded.
    pub(super) async fn connect(&self) -> bool {
        match open(&self.config).await {
            Ok(client) => {
                *self.client.write().unwrap_or_else(PoisonError::into_inner) = Some(client);
                self.connected.notify_waiters();
                true
            }
            Err(error) => {
                tracing::warn!(%error, "Temporal is away");
                false
            }
        }
    }

    /// Waits before the next try to connect.
    pub(super) async fn rest() {
        pause(RECONNECT_AFTER).await;
    }

    /// Returns the client, and waits until it is connected.
    pub(super) async fn client(&self) -> Client {
        loop {
            let connected = self.connected.notified();
            if let Some(client) = self.connected_client() {
                return client;
            }
            connected.await;
        }
    }

    fn connected_client(&self) -> Option<Client> {
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner);
        client.clone()
    }

    /// Returns true if Temporal is connected and did not fail recently.
    pub(super) fn is_up(&self) -> bool {
        self.reachable().is_ok()
    }

    /// Returns the client, unless Temporal counts as down.
    pub(super) fn reachable(&self) -> Result<Client, Away> {
        let is_back = self.now_ms() >= self.away_until_ms.load(Ordering::Relaxed);
        self.connected_client().filter(|_| is_back).ok_or(Away)
    }

    /// Records that Temporal has just answered.
    pub(super) fn answered(&self) {
        self.away_until_ms.store(0, Ordering::Relaxed);
    }

    /// Counts Temporal as down for a while.
    fn lost(&self) {
        let until = self.now_ms() + u64::try_from(AWAY_FOR.as_millis()).unwrap_or(0);
        self.away_until_ms.store(until, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns the outcome of a start. `is_awaited` is true if a caller waits for the start: then no answer counts as down, too; in a burst of
    /// starts that no caller waits for, it may be the burst's effect.
    pub(super) fn judge_start(
        &self,
        started: Result<(), WorkflowStartError>,
        is_awaited: bool,
    ) -> Started {
        let error = match started {
            Ok(()) => return Started::Now,
            Err(WorkflowStartError::AlreadyStarted { .. }) => return Started::AlreadyRuns,
            Err(error) => error,
        };
        note_failure("start", &error);
        let failure = match &error {
            WorkflowStartError::Rpc(status) => Failure::of(status),
            _ => Failure::Refused("the start could not be written"),
        };
        match failure {
            Failure::Refused(why) => return Started::Refused(why),
            Failure::Unavailable => self.lost(),
            Failure::NoAnswer if is_awaited => self.lost(),
            Failure::NoAnswer => {}
        }
        Started::Away
    }

    /// Returns true if the workflow was woken, false if no such workflow runs.
    pub(super) fn judge_wake(&self, woken: Result<(), WorkflowUpdateError>) -> Result<bool, Away> {
        let error = match woken {
            Ok(()) => return Ok(true),
            // it closed before it handled the update, and its row may contain a change that it has not read
            Err(WorkflowUpdateError::Failed(_)) => return Ok(false),
            Err(WorkflowUpdateError::NotFound(status)) if !has_no_namespace(&status) => {
                return Ok(false);
            }
            Err(error) => error,
        };
        note_failure("wake", &error);
        // no answer does not count as down: a busy worker responds as late as an absent server
        if let WorkflowUpdateError::Rpc(status) | WorkflowUpdateError::NotFound(status) = &error
            && Failure::of(status) == Failure::Unavailable
        {
            self.lost();
        }
        Err(Away)
    }
}

/// Reason that a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// The server refused this one request, with the reason.
    Refused(&'static str),
    /// Every request fails now: the server is not reachable, our credentials are refused, or the namespace does not exist.
    Unavailable,
    /// The server did not answer in time, is overloaded or failed.
    NoAnswer,
}

impl Failure {
    fn of(status: &Status) -> Self {
        match status.code() {
            // `NotFound` is the namespace: a start needs no other object, and a wake without a workflow is judged before
            Code::Unavailable | Code::PermissionDenied | Code::Unauthenticated | Code::NotFound => {
                Self::Unavailable
            }
            Code::DeadlineExceeded
            | Code::Cancelled
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Internal
            | Code::Unknown => Self::NoAnswer,
            // the transport creates its own statuses, which have a source error
            _ if status.source().is_some() => Self::NoAnswer,
            code => Self::Refused(code.description()),
        }
    }
}

/// Returns true if the request failed because its namespace does not exist, and not for the lack of the workflow.
fn has_no_namespace(status: &Status) -> bool {
    let mut details = status.details().windows(NO_NAMESPACE.len());
    details.any(|part| part == NO_NAMESPACE)
}

fn note_failure(what: &'static str, error: &dyn std::fmt::Display) {
    tracing::warn!(%error, what, "Temporal did not answer");
    metrics::counter!("temporal_failures_total", "what" => what).increment(1);
}

/// Opens a connection.
pub(crate) async fn open(config: &TemporalConfig) -> Result<Client, Box<dyn Error + Send + Sync>> {
    use secrecy::ExposeSecret;
    let key = config.api_key.as_ref();
    let options = ConnectionOptions::new(config.url.clone())
        .identity(format!("payment-orchestrator@{}", std::process::id()))
        .grpc_compression(GrpcCompression::None)
        .connect_timeout(CONNECT_TIMEOUT)
        .maybe_api_key(key.map(|key| key.expose_secret().to_owned()))
        .build();
    let connection = Connection::connect(options).await?;
    let options = ClientOptions::new(config.namespace.clone()).build();
    Ok(Client::new(connection, options)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> TemporalConnection {
        TemporalConnection::new(TemporalConfig {
            url: "http://127.0.0.1:1".parse().expect("a URL"),
            namespace: "tests".to_owned(),
            api_key: None,
        })
    }

    fn counts_as_down(connection: &TemporalConnection) -> bool {
        connection.now_ms() < connection.away_until_ms.load(Ordering::Relaxed)
    }

    /// Returns the outcome of a start, and true if Temporal counts as down afterwards.
    fn start(status: Status, is_awaited: bool) -> (Started, bool) {
        let connection = connection();
        let started = Err(WorkflowStartError::Rpc(status));
        let started = connection.judge_start(started, is_awaited);
        (started, counts_as_down(&connection))
    }

    /// Returns the outcome of a wake, and true if Temporal counts as down afterwards.
    fn wake(error: WorkflowUpdateError) -> (Result<bool, Away>, bool) {
        let connection = connection();
        let woken = connection.judge_wake(Err(error));
        (woken, counts_as_down(&connection))
    }

    #[test]
    fn a_temporal_that_refuses_every_request_counts_as_down() {
        for code in [
            Code::Unavailable,
            Code::PermissionDenied,
            Code::Unauthenticated,
            Code::NotFound,
        ] {
            let status = || Status::new(code, "no");
            assert_eq!(start(status(), true), (Started::Away, true), "{code}");
            assert_eq!(start(status(), false), (Started::Away, true), "{code}");
            if code != Code::NotFound {
                let woken = wake(WorkflowUpdateError::Rpc(status()));
                assert_eq!(woken, (Err(Away), true), "{code}");
            }
        }
    }

    #[test]
    fn a_missing_workflow_is_distinguished_from_a_missing_namespace() {
        let none = Status::new(Code::NotFound, "workflow not found for ID: ch_1");
        let woken = wake(WorkflowUpdateError::NotFound(none));
        assert_eq!(woken, (Ok(false), false));
        let details =
            b"\x08\x05\x12\x04type.googleapis.com/temporal.api.errordetails.v1.NamespaceNotFoundFailure";
        let details = details.as_slice().to_vec().into();
        let none = Status::with_details(Code::NotFound, "Namespace x is not found.", details);
        let woken = wake(WorkflowUpdateError::NotFound(none));
        assert_eq!(woken, (Err(Away), true));
    }

    #[test]
    fn an_overloaded_temporal_counts_as_down_only_for_a_start_that_a_caller_awaits() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let statuses = [
            Code::DeadlineExceeded,
            Code::Cancelled,
            Code::ResourceExhausted,
            Code::Aborted,
            Code::Internal,
            Code::Unknown,
        ]
        .map(|code| Status::new(code, "the server is busy"));
        let broken = Status::from_error(Box::new(broken));
        for status in statuses.into_iter().chain([broken]) {
            assert_eq!(start(status.clone(), true), (Started::Away, true));
            assert_eq!(start(status.clone(), false), (Started::Away, false));
            let woken = wake(WorkflowUpdateError::Rpc(status));
            assert_eq!(woken, (Err(Away), false));
        }
    }

    #[test]
    fn a_start_that_was_refused_for_its_own_sake_does_not_count_as_down() {
        for code in [Code::InvalidArgument, Code::FailedPrecondition] {
            let refused = Started::Refused(code.description());
            let status = || Status::new(code, "no");
            assert_eq!(start(status(), true), (refused, false));
            assert_eq!(start(status(), false), (refused, false));
        }
    }
}
