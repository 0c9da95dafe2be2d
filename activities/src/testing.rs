//! Activities on a database of their own, without Temporal, and a server that plays a gateway or a merchant.

mod server;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gateways::Endpoints;
use schemas::{
    gateway::{GatewayApi, GatewayKind, Mode},
    id::{ConnectionId, MerchantId},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};
use store::{
    Store,
    connections::{self, Connection, NewConnection},
    deliveries::PendingDelivery,
    merchants, migrations,
    vault::DataKey,
};
use url::Url;

pub(crate) use server::{Server, text};

use crate::{
    Activities, Starter, Timing,
    bulkhead::{Bulkhead, Limits},
    clients::GatewayClients,
    delivery::WebhookSender,
    starter::{Away, Started, Subject},
};

/// Starter that records what it is called for.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    fn add(&self, call: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call);
    }

    /// Returns the calls so far, and forgets them.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Starter for Recorder {
    fn temporal_is_up(&self) {}

    fn start_deliveries(&self, due: Vec<PendingDelivery>) {
        for due in due {
            self.add(format!("start {}", due.delivery));
        }
    }

    fn wake_later(&self, subject: Subject) {
        self.add(format!("wake {}", id_of(subject)));
    }

    async fn start(&self, subject: Subject) -> Started {
        self.add(format!("start {}", id_of(subject)));
        Started::Now
    }

    async fn wake(&self, subject: Subject) -> bool {
        self.add(format!("wake {}", id_of(subject)));
        true
    }

    async fn wake_or_start(&self, subject: Subject) -> Result<(), Away> {
        self.add(format!("wake {}", id_of(subject)));
        Ok(())
    }
}

fn id_of(subject: Subject) -> String {
    match subject {
        Subject::Charge(row) => row.id.to_string(),
        Subject::Orphan(row) => row.id.to_string(),
        Subject::Refund(row) => row.id.to_string(),
        Subject::Delivery(due) => due.delivery.to_string(),
        Subject::Endpoint(row) => row.id.to_string(),
    }
}

/// Activities with one merchant.
pub(crate) struct Stage {
    pub activities: Activities,
    pub calls: Arc<Recorder>,
    pub merchant: MerchantId,
}

impl Stage {
    /// Creates activities whose gateways are all at `gateway`. With `allow_private`, deliveries may go to this machine.
    pub(crate) async fn new(gateway: &Url, allow_private: bool) -> Self {
        let store = Store::connect(&database().await, DataKey::random(), 10)
            .await
            .expect("a store");
        let mut db = store.pool.acquire().await.expect("a connection");
        let merchant = merchants::insert(&mut db, store.master(), "Loja").await;
        drop(db);
        let endpoints = || Endpoints {
            efi_pix: gateway.clone(),
            efi_cobrancas: gateway.clone(),
            stripe: gateway.clone(),
            asaas: gateway.clone(),
            ..Endpoints::sandbox()
        };
        let address = "https://in.example.com/".parse().expect("a URL");
        let client = gateways::http::webhook_client(allow_private).expect("a client");
        let calls = Arc::new(Recorder::default());
        let activities = Activities {
            clients: GatewayClients::new(store.clone(), address, endpoints(), endpoints()),
            store,
            bulkhead: Bulkhead::new(Limits::default()),
            accepted: crate::accepted::Accepted::default(),
            detached: crate::charge::detached::Detached::default(),
            webhook_sender: WebhookSender::new(client, allow_private),
            starter: calls.clone(),
            timing: Timing::default(),
        };
        Self {
            activities,
            calls,
            merchant: merchant.expect("a merchant"),
        }
    }

    /// Returns the registrations that prove a connection's notifications now.
    pub(crate) async fn proving(
        &self,
        about: &Connection,
    ) -> Vec<connections::registrations::Registration> {
        let store = &self.activities.store;
        let mut db = store.pool.acquire().await.expect("a connection");
        let proving = connections::registrations::proving(&mut db, store, about.id).await;
        proving.expect("read")
    }

    pub(crate) async fn run(&self, sql: &str) {
        let mut db = self
            .activities
            .store
            .pool
            .acquire()
            .await
            .expect("a connection");
        db.execute(AssertSqlSafe(sql.to_owned()))
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let mut db = self
            .activities
            .store
            .pool
            .acquire()
            .await
            .expect("a connection");
        let rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql.to_owned()));
        rows.fetch_all(&mut *db)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Inserts a connection to Asaas whose API key ends with its label.
    pub(crate) async fn connect(&self, label: &str) -> Connection {
        let store = &self.activities.store;
        let new = NewConnection {
            id: ConnectionId(store::new_id()),
            merchant: self.merchant,
            mode: Mode::Test,
            gateway: GatewayKind::Asaas,
            label,
            fingerprint: label,
            credentials: &json!({ "api_key": format!("$aact_hmlg_{label}") }),
            apis: &[GatewayApi::Asaas],
            replace_address: false,
        };
        let mut tx = store.begin().await.expect("a transaction");
        connections::insert(&mut tx, store, &new)
            .await
            .expect("inserted");
        let found = connections::find(&mut tx, new.id).await.expect("read");
        tx.commit().await.expect("committed");
        found.expect("a connection")
    }
}

/// Returns the URL of a new database with all tables.
async fn database() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server of the tests is named by the environment"
    )]
    let server = std::env::var("ORCHESTRATOR_DATABASE_URL")
        .expect("run tests with `make test`, which starts the services");
    let name = format!("a_{}", store::new_id().simple());
    migrations::create_database(&server, &name)
        .await
        .expect("a database");
    let (base, _) = server.rsplit_once('/').expect("a URL with a database");
    let url = format!("{base}/{name}");
    migrations::run(&url).await.expect("migrations");
    url
}
