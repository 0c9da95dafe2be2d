//! The whole system in this process, with its own database, task queues, topics and simulators.

use std::{collections::BTreeMap, time::Duration};

use activities::{PauseTiming, Timing};
use anyhow::Context;
use orchestrator::{Config, Role, Running, migrate, start, telemetry};
use schemas::{
    gateway::{GatewayApi, GatewayKind, Mode},
    id::{ChargeId, MerchantId},
    merchant::Permission,
    payment_method::PaymentMethodKind,
    retry::{Backoff, DeliverySchedule},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use simulators::SIMULATORS;
use store::{Store, api_keys, merchants};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, schedules::DeleteScheduleOptions,
};
use url::Url;
use uuid::Uuid;

use crate::{Api, MerchantServer, Proxy, Simulator, connections::connect, sql_proxy::SqlProxy};

/// Maximum number of polls; more than any list of a test takes.
const POLL_ROUNDS: usize = 20;

/// Options of a stack.
#[derive(Clone, Debug)]
pub struct Options {
    /// The merchant's connections, in the order of its routes.
    pub gateways: Vec<GatewayKind>,
    /// True if Kafka's topics, the relay and the sweep's schedule exist.
    pub complete: bool,
    pub max_waiting_callers: usize,
    /// Maximum time that a caller waits for a charge, in seconds.
    pub answer_within_s: u64,
    pub timing: Timing,
    /// True to record the statements on the database.
    pub records_statements: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            gateways: simulated_gateways(),
            complete: false,
            max_waiting_callers: 5_000,
            answer_within_s: 8,
            timing: brisk(),
            records_statements: false,
        }
    }
}

/// A running system with one merchant.
pub struct Stack {
    pub api: Api,
    pub merchant: MerchantId,
    pub store: Store,
    pub config: Config,
    pub merchant_server: MerchantServer,
    pub efi: Simulator,
    pub efi_cobrancas: Simulator,
    pub stripe: Simulator,
    pub asaas: Simulator,
    by_api: BTreeMap<GatewayApi, Simulator>,
    /// Notification address of each gateway.
    pub addresses: Vec<(GatewayKind, Url)>,
    /// Proxy to Temporal.
    pub temporal: Proxy,
    /// Proxy to the database, if its statements are recorded.
    pub sql: Option<SqlProxy>,
    /// Configuration with the services' own addresses, without proxies.
    pub services: Config,
    pub running: Running,
    pub(crate) simulators: simulators::Simulators,
}

/// Returns timing in seconds instead of hours.
pub fn brisk() -> Timing {
    let ms = Duration::from_millis;
    Timing {
        call: ms(1_500),
        last_call: ms(2_500),
        activity: ms(1_500),
        activity_returns: ms(3_000),
        resolve: ms(600),
        rounds: Backoff {
            initial_ms: 200,
            factor: 2,
            max_ms: 800,
        },
        answer_within: ms(8_000),
        late_checks: vec![ms(500), ms(1_000)],
        orphan_searches: vec![ms(200), ms(400), ms(800)],
        absent_after: ms(4_000),
        review_after: ms(60_000),
        delivery: DeliverySchedule {
            delays_s: vec![0, 1, 1, 1],
            every_s: 2,
            give_up_after_s: 120,
            jitter_bps: 0,
        },
        delivery_call: ms(2_000),
        pause: PauseTiming {
            failures: 5,
            over: ms(1_000),
            probe_every: ms(1_500),
        },
        hold_boleto: ms(6_000),
        refund_again: Backoff {
            initial_ms: 200,
            factor: 2,
            max_ms: 1_000,
        },
        refund_review_after: ms(5_000),
        poll_every: ms(1_000),
        poll_pace: 0,
        check_every: ms(1_000),
        sweep_grace: ms(2_000),
    }
}

impl Stack {
    /// Starts a stack with all simulated gateways and without Kafka.
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// Starts a stack. Panics if that fails.
    pub async fn with(options: Options) -> Self {
        Box::pin(Self::try_with(options))
            .await
            .expect("a stack: run tests with `make test`, which starts the services")
    }

    async fn try_with(options: Options) -> anyhow::Result<Self> {
        let simulators = simulators::start(simulators::Options::for_test(1)).await?;
        let services = config(&simulators, &options).await?;
        let temporal = Proxy::to(&services.temporal.url).await;
        let mut config = services.clone();
        config.temporal.url = temporal.url.clone();
        let mut sql = None;
        if options.records_statements {
            let database: Url = config.database.url.expose_secret().parse()?;
            let proxy = SqlProxy::to(&database).await;
            config.database.url = SecretString::from(proxy.url.as_str());
            sql = Some(proxy);
        }
        if options.complete {
            migrate::migrate(&config).await?;
        } else {
            migrate::tables(&config).await?;
        }
        let roles: &[Role] = if options.complete {
            &start::ALL
        } else {
            &[Role::Api, Role::Worker]
        };
        telemetry::log(&config)?;
        let running = start::start(&config, options.timing.clone(), roles).await?;
        let base: Url = format!("http://{}", running.addresses[&Role::Api]).parse()?;
        config.http.notifications_url = base.clone();
        let store = running.store.clone();
        let (merchant, key) = merchant(&store).await?;
        let mut addresses = Vec::new();
        for gateway in &options.gateways {
            addresses.push((
                *gateway,
                connect(&config, &store, (merchant, *gateway), &simulators).await?,
            ));
        }
        let api = Api::new(base, key.expose_secret());
        let merchant_server = MerchantServer::open().await;
        let endpoint = api
            .post(
                "/v1/webhook_endpoints",
                &json!({ "url": merchant_server.url }),
            )
            .await
            .expect(201);
        merchant_server.trust(endpoint["secret"].as_str().unwrap_or_default());
        let by_api = simulated(&simulators.control)?;
        Ok(Self {
            efi: by_api[&GatewayApi::EfiPix].clone(),
            efi_cobrancas: by_api[&GatewayApi::EfiCobrancas].clone(),
            stripe: by_api[&GatewayApi::Stripe].clone(),
            asaas: by_api[&GatewayApi::Asaas].clone(),
            by_api,
            api,
            merchant,
            store,
            config,
            merchant_server,
            addresses,
            temporal,
            sql,
            services,
            running,
            simulators,
        })
    }

    /// Creates one more merchant with connections of its own. Returns its client.
    pub async fn another_merchant(&self, gateways: &[GatewayKind]) -> Api {
        let (merchant, key) = merchant(&self.store).await.expect("a merchant");
        for gateway in gateways {
            let connected = connect(
                &self.config,
                &self.store,
                (merchant, *gateway),
                &self.simulators,
            );
            connected.await.expect("a connection");
        }
        Api::new(self.api.base.clone(), key.expose_secret())
    }

    /// Returns the simulator of a gateway's API for Pix.
    pub fn simulator(&self, gateway: GatewayKind) -> &Simulator {
        self.simulator_of(gateway, PaymentMethodKind::Pix)
    }

    /// Returns the simulator of the gateway API that serves a method.
    pub fn simulator_of(&self, gateway: GatewayKind, method: PaymentMethodKind) -> &Simulator {
        &self.by_api[&api(gateway, method)]
    }

    /// Returns the address of a simulated gateway's API for Pix over plain HTTP.
    pub fn gateway_url(&self, gateway: GatewayKind) -> &Url {
        let api = api(gateway, PaymentMethodKind::Pix);
        self.simulators.plain_url(api.as_ref())
    }

    /// Returns the address of the process's metrics.
    pub fn metrics(&self) -> Url {
        let address = self.running.metrics.expect("the API runs here");
        let url = format!("http://{address}/metrics");
        url.parse().expect("a URL")
    }

    /// Replays all stored notifications, as `orchestrator notifications replay` does.
    pub async fn replay(&self) -> activities::notifications::Replayed {
        let filter = store::notifications::raw::RawFilter::default();
        let replayed = self.running.activities.replay(&filter).await;
        replayed.expect("the store answers")
    }

    /// Returns the notification address of a gateway.
    pub fn address(&self, gateway: GatewayKind) -> &Url {
        let found = self.addresses.iter().find(|(kind, _)| *kind == gateway);
        &found.expect("a connection").1
    }

    /// Makes a charge expire now.
    pub async fn expire(&self, charge: &str) {
        self.execute("update charges set expires_at = app_now(), next_check_at = app_now() - interval '1 hour' where id = $1", charge).await;
    }

    /// Makes every list of the gateways due and reads it to its end, as the schedule does.
    pub async fn poll_connections(&self) {
        for _ in 0..POLL_ROUNDS {
            self.run_sql("update connection_feeds set next_check_at = app_now() where not failing")
                .await;
            let done = self.running.activities.poll_connections().await;
            done.expect("the store answers");
            let left =
                "select count(*) from connection_feeds where cursor is not null and not failing";
            if self.count_sql(left).await == 0 {
                return;
            }
        }
        panic!("the lists have no end");
    }

    /// Checks the connections' setup at their gateways, as the schedule does.
    pub async fn check_connections(&self) {
        self.run_sql("update gateway_connections set checked_at = app_now() - interval '1 day'")
            .await;
        let done = self.running.activities.check_connections().await;
        done.expect("the store answers");
    }

    /// Runs a statement that is not part of the store.
    pub async fn run_sql(&self, sql: &'static str) {
        let mut db = self.store.pool.acquire().await.expect("a connection");
        #[expect(
            clippy::disallowed_methods,
            reason = "tests reach behind the store, with statements that are no part of it"
        )]
        let done = sqlx::query(sql).execute(&mut *db).await;
        done.expect("done");
    }

    /// Returns the number that a statement counts.
    pub async fn count_sql(&self, sql: &'static str) -> i64 {
        let mut db = self.store.pool.acquire().await.expect("a connection");
        let count = sqlx::query_scalar(sql).fetch_one(&mut *db).await;
        count.expect("a count")
    }

    /// Runs a statement that is not part of the store; `id` is its only parameter.
    pub async fn run(&self, sql: &'static str, id: Uuid) {
        let mut db = self.store.pool.acquire().await.expect("a connection");
        #[expect(
            clippy::disallowed_methods,
            reason = "tests reach behind the store, with statements that are no part of it"
        )]
        sqlx::query(sql)
            .bind(id)
            .execute(&mut *db)
            .await
            .expect("a statement");
    }

    /// Cancels a charge in our rows only, as if the cancel had crossed a payment: its instrument can still be paid at the gateway.
    pub async fn cancel_in_our_rows_alone(&self, charge: &str) {
        let attempts = "update attempts set state = 'voided' where charge_id = $1";
        self.execute(attempts, charge).await;
        let canceled = "update charges set status = 'canceled', canceled_at = app_now(), next_check_at = null where id = $1";
        self.execute(canceled, charge).await;
    }

    async fn execute(&self, sql: &'static str, charge: &str) {
        let id: ChargeId = charge.parse().expect("a charge's id");
        let mut db = self.store.pool.acquire().await.expect("a connection");
        #[expect(
            clippy::disallowed_methods,
            reason = "tests reach behind the store, with statements that are no part of it"
        )]
        sqlx::query(sql)
            .bind(id.uuid())
            .execute(&mut *db)
            .await
            .expect("a row");
    }

    /// Changes the merchant's breaker settings; omitted ones get their defaults.
    pub async fn set_breaker(&self, settings: Value) {
        let mut db = self.store.pool.acquire().await.expect("a connection");
        let (_, mut all) = merchants::find(&mut db, self.merchant)
            .await
            .expect("a row")
            .expect("the merchant");
        all.breaker = serde_json::from_value(settings).expect("settings");
        merchants::set_settings(&mut db, self.merchant, &all)
            .await
            .expect("a row");
    }

    /// Deletes the stack's schedules. They would outlive it and wake Temporal once a second each.
    async fn forget_schedules(&self) {
        let options = ConnectionOptions::new(self.services.temporal.url.clone())
            .identity("tests")
            .build();
        let connection = Connection::connect(options).await.expect("Temporal");
        let options = ClientOptions::new(self.config.temporal.namespace.clone()).build();
        let client = Client::new(connection, options).expect("a client");
        for name in workflows::setup::SCHEDULES {
            let id = format!(
                "{name}-{}maintenance",
                self.config.temporal.task_queue_prefix
            );
            let schedule = client.get_schedule_handle(id);
            // the schedules of a stack that is not complete do not exist
            let _ = schedule.delete(DeleteScheduleOptions::default()).await;
        }
    }

    /// Stops the stack.
    pub async fn stop(self) {
        self.forget_schedules().await;
        self.running.stop().await;
        self.simulators.stop().await;
    }
}

/// Returns the gateways that have a simulator.
pub fn simulated_gateways() -> Vec<GatewayKind> {
    let names = SIMULATORS.iter().map(|one| one.gateway);
    let mut all: Vec<GatewayKind> = names.map(|name| name.parse().expect("a gateway")).collect();
    all.dedup();
    all
}

/// Returns a client of each simulator.
fn simulated(control: &Url) -> anyhow::Result<BTreeMap<GatewayApi, Simulator>> {
    let simulator = |one: &simulators::Descriptor| {
        let simulator = Simulator::new(control.clone(), one.name);
        Ok((one.api.parse()?, simulator))
    };
    SIMULATORS.iter().map(simulator).collect()
}

/// Returns the gateway API that serves a method.
fn api(gateway: GatewayKind, method: PaymentMethodKind) -> GatewayApi {
    gateways::api(gateway, method).expect("the gateway serves the method")
}

/// Creates a merchant and a key with all permissions.
async fn merchant(store: &Store) -> anyhow::Result<(MerchantId, SecretString)> {
    let mut db = store.pool.acquire().await?;
    let id = merchants::insert(&mut db, store.master(), "Loja").await?;
    let permission = Permission::Configuration;
    let (_, key) = api_keys::insert(&mut db, id, Mode::Test, permission, "tests").await?;
    Ok((id, key))
}

/// Returns the configuration. The services' addresses come from the environment (`tests/run.sh`); all else is this stack's own.
async fn config(simulators: &simulators::Simulators, options: &Options) -> anyhow::Result<Config> {
    let mut config = Config::from_env()?;
    let name = format!("t_{}", Uuid::now_v7().simple());
    config.database.url = database(&config, &name).await?;
    config.database.connections = 12;
    config.temporal.task_queue_prefix = format!("{name}_");
    config.kafka.topic_prefix = format!("{name}.");
    config.kafka.partitions = 1;
    let http = &mut config.http;
    (http.api_port, http.worker_port, http.relay_port) = (0, 0, 0);
    http.metrics_port = 0;
    http.answer_within_s = options.answer_within_s;
    let schedules = &mut config.schedules;
    (
        schedules.sweep_every_s,
        schedules.poll_every_s,
        schedules.check_every_s,
    ) = (1, 1, 1);
    config.limits.max_waiting_callers = options.max_waiting_callers;
    config.delivery.allow_private_webhooks = true;
    let authority = std::env::temp_dir().join(format!("{name}.pem"));
    std::fs::write(&authority, &simulators.ca_pem)?;
    config.test_gateways.efi_ca_file = Some(authority);
    for (api, at) in &simulators.apis {
        config
            .test_gateways
            .urls
            .insert(api.parse()?, at.url.clone());
    }
    Ok(config)
}

/// Creates a new database beside the one that the environment names.
pub(crate) async fn database(config: &Config, name: &str) -> anyhow::Result<SecretString> {
    let mut url: Url = config
        .database
        .url
        .expose_secret()
        .parse()
        .context("ORCHESTRATOR_DATABASE_URL")?;
    store::migrations::create_database(url.as_str(), name).await?;
    url.set_path(name);
    Ok(url.to_string().into())
}
