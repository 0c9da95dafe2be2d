//! The activities without Temporal, on a database of their own, with a starter that only records its requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use activities::{
    Activities, Away, Started, Starter, Subject, Timing,
    accepted::Accepted,
    bulkhead::{Bulkhead, Limits},
    charge::detached::Detached,
    delivery::WebhookSender,
};
use async_trait::async_trait;
use orchestrator::{Config, migrate, start};
use schemas::{
    event::{EventSubjectKind, EventType},
    gateway::Mode,
    id::{DeliveryId, EndpointId, EventId, MerchantId},
};
use serde_json::json;
use store::{
    PgConnection, Store, deliveries::PendingDelivery, events, merchants, webhook_endpoints,
};
use url::Url;
use uuid::Uuid;

use crate::stack::database;

/// Requests that the starter received.
#[derive(Default)]
pub struct Asked {
    pub deliveries: Vec<PendingDelivery>,
    pub endpoints: Vec<EndpointId>,
}

/// Starter that records its requests and starts nothing.
#[derive(Default)]
pub struct Notes(Mutex<Asked>, Mutex<Vec<DeliveryId>>);

impl Notes {
    fn inside(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Starter for Notes {
    fn temporal_is_up(&self) {}
    fn start_deliveries(&self, due: Vec<PendingDelivery>) {
        self.inside().deliveries.extend(due);
    }
    fn wake_later(&self, _: Subject) {}
    async fn start(&self, subject: Subject) -> Started {
        let refused = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        match subject {
            Subject::Delivery(due) if refused.contains(&due.delivery) => {
                Started::Refused("invalid argument")
            }
            _ => Started::Now,
        }
    }
    async fn wake(&self, subject: Subject) -> bool {
        self.wake_or_start(subject).await.is_ok()
    }
    async fn wake_or_start(&self, subject: Subject) -> Result<(), Away> {
        if let Subject::Endpoint(served) = subject {
            self.inside().endpoints.push(served.id);
        }
        Ok(())
    }
}

/// The activities with one merchant.
pub struct Bench {
    pub activities: Arc<Activities>,
    pub store: Store,
    pub merchant: MerchantId,
    notes: Arc<Notes>,
}

impl Bench {
    /// Starts on a new, migrated database.
    pub async fn start(timing: Timing) -> Self {
        Box::pin(Self::try_start(timing))
            .await
            .expect("a bench: run tests with `make test`, which starts the services")
    }

    async fn try_start(timing: Timing) -> anyhow::Result<Self> {
        let mut config = Config::from_env()?;
        config.database.url = database(&config, &format!("t_{}", Uuid::now_v7().simple())).await?;
        config.database.connections = 12;
        migrate::tables(&config).await?;
        let store = start::open_store(&config).await?;
        let mut db = store.pool.acquire().await?;
        let merchant = merchants::insert(&mut db, store.master(), "Loja").await?;
        drop(db);
        let notes = Arc::new(Notes::default());
        let activities = Activities {
            store: store.clone(),
            clients: start::clients(&config, &store),
            bulkhead: Bulkhead::new(Limits::default()),
            accepted: Accepted::default(),
            detached: Detached::default(),
            webhook_sender: WebhookSender::new(gateways::http::webhook_client(true)?, true),
            starter: notes.clone(),
            timing,
        };
        Ok(Self {
            activities: Arc::new(activities),
            store,
            merchant,
            notes,
        })
    }

    pub async fn db(&self) -> store::PoolConnection {
        self.store.pool.acquire().await.expect("a connection")
    }

    /// Returns the requests since the last call.
    pub fn asked(&self) -> Asked {
        std::mem::take(&mut *self.notes.inside())
    }

    /// Refuses from now on to start the workflow of this delivery.
    pub fn refuse(&self, delivery: DeliveryId) {
        let mut refused = self.notes.1.lock().unwrap_or_else(PoisonError::into_inner);
        refused.push(delivery);
    }

    /// Creates an endpoint. Returns it with its secret.
    pub async fn endpoint(&self, url: &Url) -> (EndpointId, String) {
        let request = serde_json::from_value(json!({ "url": url })).expect("a request");
        let (owner, id) = ((self.merchant, Mode::Test), EndpointId(store::new_id()));
        let mut db = self.db().await;
        let endpoint = webhook_endpoints::insert(&mut db, &self.store, owner, id, &request).await;
        let endpoint = endpoint.expect("a row").expect("few endpoints");
        (id, endpoint.secret.expect("a secret"))
    }

    /// Writes an event without a charge. Returns its deliveries.
    pub async fn event(&self) -> Vec<PendingDelivery> {
        let mut db = self.db().await;
        append(&mut db, self.merchant).await
    }

    /// Runs a test's own statement; `$1` is `id`.
    pub async fn execute(&self, sql: &'static str, id: Uuid) -> u64 {
        execute(&self.store, sql, id).await
    }

    /// Reads rows with a test's own statement; `$1` is `id`.
    pub async fn rows<T: Row>(&self, sql: &'static str, id: Uuid) -> Vec<T> {
        rows(&self.store, sql, id).await
    }
}

/// A row of a test's own statement.
pub trait Row: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin {}
impl<T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin> Row for T {}

/// Runs a test's own statement; `$1` is `id`.
pub async fn execute(store: &Store, sql: &'static str, id: Uuid) -> u64 {
    let mut tx = store.begin().await.expect("a transaction");
    // A busy machine takes longer for a hundred thousand rows than the product's statements may.
    sqlx::raw_sql("set local statement_timeout = 0")
        .execute(&mut *tx)
        .await
        .expect("a setting");
    #[expect(
        clippy::disallowed_methods,
        reason = "tests reach behind the store, with statements that are no part of it"
    )]
    let done = sqlx::query(sql).bind(id).execute(&mut *tx).await;
    let rows = done.expect("the statement runs").rows_affected();
    tx.commit().await.expect("committed");
    rows
}

/// Reads rows with a test's own statement; `$1` is `id`.
pub async fn rows<T: Row>(store: &Store, sql: &'static str, id: Uuid) -> Vec<T> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests reach behind the store, with statements that are no part of it"
    )]
    let rows = sqlx::query_as(sql).bind(id).fetch_all(&store.pool).await;
    rows.expect("rows")
}

/// Writes an event without a charge in the caller's transaction. Returns its deliveries.
pub async fn append(db: &mut PgConnection, merchant: MerchantId) -> Vec<PendingDelivery> {
    append_event(db, merchant).await.1
}

/// Writes an event without a charge in the caller's transaction. Returns the event and its deliveries.
pub async fn append_event(
    db: &mut PgConnection,
    merchant: MerchantId,
) -> (EventId, Vec<PendingDelivery>) {
    let new = events::NewEvent {
        merchant,
        mode: Mode::Test,
        kind: EventType::ChargePaid,
        subject: EventSubjectKind::Charge,
        subject_id: store::new_id(),
        sequence: 1,
        data: json!({}),
    };
    events::append(db, &new).await.expect("rows")
}
