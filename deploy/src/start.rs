//! Assembly of the parts of a process.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use activities::{
    Activities, Timing,
    accepted::Accepted,
    bulkhead::{Bulkhead, Limits},
    charge::detached::Detached,
    clients::GatewayClients,
    delivery::WebhookSender,
    relay::Relay,
};
use anyhow::Context;
use axum::Router;
use gateways::Endpoints;
use secrecy::ExposeSecret;
use store::{Store, listen::Outcomes};
use strum::Display;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use workflows::{Orchestrator, Queue, WorkflowClient, worker};

use crate::{Config, health, serve, telemetry};

/// Time that a stopping process may take to finish its work.
const DRAIN: Duration = Duration::from_secs(25);
/// Time that the connections to the database may take to close after that.
const CLOSE: Duration = Duration::from_secs(3);

/// Role of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Display)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// REST and notifications, and the first step of the charges that it accepts.
    Api,
    /// Workflows and activities.
    Worker,
    /// Outbox to Kafka.
    Relay,
}

/// All roles, for a laptop.
pub const ALL: [Role; 3] = [Role::Api, Role::Worker, Role::Relay];

/// Tasks of a process, and the signal that stops them.
#[derive(Clone, Default)]
pub(crate) struct Work {
    pub(crate) tracker: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// Services that activities use.
pub(crate) struct Services<'a> {
    pub(crate) store: &'a Store,
    pub(crate) temporal: &'a WorkflowClient,
    pub(crate) tracker: &'a TaskTracker,
}

/// Parts of a running process.
pub struct Running {
    /// Address that each role listens on.
    pub addresses: BTreeMap<Role, SocketAddr>,
    /// Address of the API's metrics, if this process has that role.
    pub metrics: Option<SocketAddr>,
    pub store: Store,
    pub activities: Arc<Activities>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Running {
    /// Stops: accepts nothing new and finishes the work in progress, within 25 s.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(DRAIN, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!("some work was not finished in time; others will take it over");
        }
        // a connection that is still in use must not delay the exit
        let _ = tokio::time::timeout(CLOSE, self.store.pool.close()).await;
    }
}

/// Starts `roles` in this process. `timing` is `config.timing()`, unless a test shortens it.
pub async fn start(config: &Config, timing: Timing, roles: &[Role]) -> anyhow::Result<Running> {
    telemetry::metrics();
    let work = Work::default();
    let Work { tracker, stop } = work.clone();
    let (mut listeners, addresses) = listen(config, roles).await?;
    let scraped = listen_for_metrics(config, roles).await?;
    let config = &reachable(config, &addresses)?;
    let store = open_store(config).await?;
    let temporal = WorkflowClient::connect(
        config.temporal.connection(),
        config.temporal.queues(),
        &tracker,
        &stop,
    );
    let services = Services {
        store: &store,
        temporal: &temporal,
        tracker: &tracker,
    };
    let activities = Arc::new(activities(config, timing, &services)?);
    let queues = queues(roles);
    if !queues.is_empty() {
        let (temporal, activities, stop) = (temporal.clone(), activities.clone(), stop.clone());
        let sizes = config.limits.sizes();
        tracker.spawn(async move {
            worker::run(&temporal, &activities, (&queues, sizes), &stop).await;
        });
    }
    let parts = health::Parts::new(store.clone(), temporal.clone());
    let inside = health::router(parts.clone()).merge(health::metrics_router(parts.clone()));
    let limits = serve::Limits::default();
    for role in roles {
        let router = match role {
            Role::Api => {
                let orchestrator =
                    Orchestrator::new(temporal.clone(), activities.clone(), tracker.clone());
                api(config, &store, orchestrator, &work).merge(health::router(parts.clone()))
            }
            Role::Worker => inside.clone(),
            Role::Relay => {
                let (relay, stop) = (
                    Relay::new(store.clone(), config.kafka.relay())?,
                    stop.clone(),
                );
                tracker.spawn(async move { relay.run(&stop).await });
                inside.clone()
            }
        };
        if let Some(listener) = listeners.remove(role) {
            tracker.spawn(serve::serve(listener, router, limits, work.clone()));
        }
    }
    let metrics = scraped.as_ref().map(TcpListener::local_addr).transpose()?;
    if let Some(listener) = scraped {
        tracker.spawn(serve::serve(listener, inside, limits, work));
    }
    Ok(Running {
        addresses,
        metrics,
        store,
        activities,
        tracker,
        stop,
    })
}

/// Connects to the database with the master key of the vault.
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let master = config
        .database
        .master()
        .context("ORCHESTRATOR_MASTER_KEY")?;
    Store::connect(
        config.database.url.expose_secret(),
        master,
        config.database.connections,
    )
    .await
    .context("cannot connect to the database (ORCHESTRATOR_DATABASE_URL)")
}

/// Returns the gateway clients, with the endpoints of each mode.
pub fn clients(config: &Config, store: &Store) -> GatewayClients {
    let notifications = config.http.notifications_url.clone();
    let test = config.test_gateways.endpoints();
    GatewayClients::new(store.clone(), notifications, test, Endpoints::live())
}

pub(crate) fn activities(
    config: &Config,
    timing: Timing,
    services: &Services<'_>,
) -> anyhow::Result<Activities> {
    let private = config.delivery.allow_private_webhooks;
    Ok(Activities {
        store: services.store.clone(),
        clients: clients(config, services.store),
        bulkhead: Bulkhead::new(Limits {
            max_calls_in_flight: config.limits.max_calls_in_flight,
        }),
        accepted: Accepted::default(),
        detached: Detached::new(services.tracker.clone()),
        webhook_sender: WebhookSender::new(gateways::http::webhook_client(private)?, private),
        starter: Arc::new(services.temporal.clone()),
        timing,
    })
}

/// Returns the task queues of `roles`. The process that accepts a charge executes its first task and starts the deliveries that it commits,
/// both eagerly.
fn queues(roles: &[Role]) -> Vec<Queue> {
    if roles.contains(&Role::Worker) {
        vec![Queue::Charges, Queue::Deliveries, Queue::Maintenance]
    } else if roles.contains(&Role::Api) {
        vec![Queue::Charges, Queue::Deliveries]
    } else {
        Vec::new()
    }
}

fn api(
    config: &Config,
    store: &Store,
    orchestrator: Orchestrator,
    Work { tracker, stop }: &Work,
) -> Router {
    let outcomes = Outcomes::new(store.pool.clone());
    let (listening, until) = (outcomes.clone(), stop.clone());
    let listen = async move { Box::pin(until.run_until_cancelled(listening.listen())).await };
    tracker.spawn(listen);
    let behavior = api::Config {
        answer_within: config.http.answer_within(),
        requests_at_work: config.database.requests_at_work(),
        max_waiting_callers: config.limits.max_waiting_callers,
        allow_private_webhooks: config.delivery.allow_private_webhooks,
        docs_url: config.http.docs_url.clone(),
    };
    api::router(api::App::new(
        store.clone(),
        orchestrator,
        outcomes,
        behavior,
        tracker.clone(),
    ))
}

/// Opens the ports first: a process that cannot open its port starts nothing.
async fn listen(
    config: &Config,
    roles: &[Role],
) -> anyhow::Result<(BTreeMap<Role, TcpListener>, BTreeMap<Role, SocketAddr>)> {
    let (mut listeners, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    for role in roles {
        let port = match role {
            Role::Api => config.http.api_port,
            Role::Worker => config.http.worker_port,
            Role::Relay => config.http.relay_port,
        };
        let listener = bind(config, port).await?;
        let address = listener.local_addr()?;
        tracing::info!(%role, %address, "listening");
        addresses.insert(*role, address);
        listeners.insert(*role, listener);
    }
    Ok((listeners, addresses))
}

/// Opens a separate port for the API's metrics: its main port is public.
async fn listen_for_metrics(
    config: &Config,
    roles: &[Role],
) -> anyhow::Result<Option<TcpListener>> {
    if roles.contains(&Role::Api) {
        bind(config, config.http.metrics_port).await.map(Some)
    } else {
        Ok(None)
    }
}

async fn bind(config: &Config, port: u16) -> anyhow::Result<TcpListener> {
    let wanted = SocketAddr::new(config.http.host, port);
    TcpListener::bind(wanted)
        .await
        .with_context(|| format!("cannot listen on {wanted}"))
}

/// Returns a configuration with the API's actual port in the notification URL, if the port is any free one (0).
fn reachable(config: &Config, addresses: &BTreeMap<Role, SocketAddr>) -> anyhow::Result<Config> {
    let mut config = config.clone();
    if let (0, Some(address)) = (config.http.api_port, addresses.get(&Role::Api)) {
        config.http.notifications_url = format!("http://{address}").parse()?;
    }
    Ok(config)
}
