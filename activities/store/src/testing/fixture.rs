//! Merchant with a connection, and rows with valid references that tests need.

use std::cell::Cell;

use chrono::TimeDelta;
use futures::{FutureExt, future::LocalBoxFuture};
use schemas::{
    gateway::{GatewayApi, GatewayKind, Mode},
    id::{
        AttemptId, ChargeId, ConnectionId, DeliveryId, EndpointId, EventId, MerchantId, PaymentId,
    },
};
use serde_json::json;
use uuid::Uuid;

use super::{connect, migrated, run, texts};
use crate::{
    PoolConnection, Store, Tx,
    connections::{self, Connection, NewConnection},
    deliveries::{self, DeliveryJob},
    merchants, payers,
    vault::DataKey,
    webhook_endpoints,
};

pub(crate) const SECOND: TimeDelta = TimeDelta::seconds(1);
pub(crate) const MINUTE: TimeDelta = TimeDelta::minutes(1);
pub(crate) const HOUR: TimeDelta = TimeDelta::hours(1);
pub(crate) const DAY: TimeDelta = TimeDelta::days(1);

/// Database with one merchant and one connection to Asaas in test mode.
pub(crate) struct Fixture {
    pub store: Store,
    pub url: String,
    pub merchant: MerchantId,
    pub connection: Connection,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let url = migrated().await;
        let store = Store::connect(&url, DataKey::random(), 10)
            .await
            .expect("a store");
        let merchant = new_merchant(&store).await;
        let connection = connection(&store, merchant, GatewayKind::Asaas, "asaas").await;
        Self {
            store,
            url,
            merchant,
            connection,
        }
    }

    pub(crate) async fn db(&self) -> PoolConnection {
        self.store.pool.acquire().await.expect("a connection")
    }

    pub(crate) async fn begin(&self) -> Tx {
        self.store.begin().await.expect("a transaction")
    }

    pub(crate) async fn run(&self, sql: &str) {
        run(&mut *self.db().await, sql).await;
    }

    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        texts(&mut *self.db().await, sql).await
    }

    /// Returns a transaction whose clock is `by` ahead.
    pub(crate) async fn later(&self, by: TimeDelta) -> Tx {
        let mut tx = self.begin().await;
        let sql = format!(
            "select set_config('orchestrator.clock_offset_ms', '{}', true)",
            by.num_milliseconds()
        );
        texts(&mut tx, &sql).await;
        tx
    }

    /// Commits `first` as soon as `second` waits for a lock, or is done without having waited.
    pub(crate) fn overlapping<'a, T: 'a>(
        &'a self,
        first: Tx,
        second: impl Future<Output = T> + 'a,
    ) -> LocalBoxFuture<'a, T> {
        let is_done = Cell::new(false);
        let both = async move {
            let second = async {
                let result = second.await;
                is_done.set(true);
                result
            };
            let committing = async {
                let mut db = connect(&self.url).await;
                let waiting = "select pid::text from pg_stat_activity
                                where wait_event_type = 'Lock' and datname = current_database()";
                while !is_done.get() && texts(&mut db, waiting).await.is_empty() {
                    tokio::task::yield_now().await;
                }
                first.commit().await.expect("committed");
            };
            tokio::join!(second, committing).0
        };
        both.boxed_local()
    }

    pub(crate) async fn other_merchant(&self) -> MerchantId {
        new_merchant(&self.store).await
    }

    pub(crate) async fn connect(&self, gateway: GatewayKind, label: &str) -> Connection {
        connection(&self.store, self.merchant, gateway, label).await
    }

    /// Inserts a charge with a presented attempt of the connection. Each document is another payer.
    pub(crate) async fn charge(&self, document: &str, status: &str) -> (ChargeId, AttemptId) {
        let mut tx = self.begin().await;
        let payer = json!({ "name": "Maria", "document": document });
        let payer = serde_json::from_value(payer).expect("a payer");
        let payer = payers::upsert(&mut tx, &self.store, self.merchant, Mode::Test, &payer)
            .await
            .expect("a payer");
        let (charge, attempt) = (ChargeId(crate::new_id()), AttemptId(crate::new_id()));
        let merchant = self.merchant.uuid();
        let (payer, connection) = (payer.id.uuid(), self.connection.id.uuid());
        let (charge_id, attempt_id) = (charge.uuid(), attempt.uuid());
        let sql = format!(
            "insert into charges (id, merchant_id, mode, payer_id, payer_sealed, method, payment_method, amount, status, expires_at,
                                  created_at)
             values ('{charge_id}', '{merchant}', 'test', '{payer}', '', 'pix', '{{\"type\": \"pix\", \"expires_in\": 3600}}', 100, '{status}',
                     app_now(), app_now());
             insert into attempts (id, merchant_id, mode, charge_id, n, connection_id, gateway, api, reason, plan, policy_version,
                                   state, lease_owner, lease_expires_at, deadline_at, gateway_charge_id, started_at)
             values ('{attempt_id}', '{merchant}', 'test', '{charge_id}', 1, '{connection}', 'asaas', 'asaas', 'primary', '{{}}', 1, 'presented', '{attempt_id}', app_now(),
                     app_now(), 'pay_{attempt_id}', app_now())"
        );
        run(&mut tx, &sql).await;
        tx.commit().await.expect("committed");
        (charge, attempt)
    }

    /// Inserts a payment of an attempt, received `age` ago.
    pub(crate) async fn payment(
        &self,
        (charge, attempt): (ChargeId, AttemptId),
        age: &str,
    ) -> PaymentId {
        let payment = PaymentId(crate::new_id());
        let (id, m, g) = (
            payment.uuid(),
            self.merchant.uuid(),
            self.connection.id.uuid(),
        );
        let (c, a) = (charge.uuid(), attempt.uuid());
        self.run(&format!(
            "insert into payments (id, merchant_id, mode, charge_id, attempt_id, connection_id, gateway, gateway_payment_id, amount,
                                   method, fee, net, paid_at)
             values ('{id}', '{m}', 'test', '{c}', '{a}', '{g}', 'asaas', 'pay {id}', 100, 'pix', 1, 99,
                     app_now() - interval '{age}')"
        ))
        .await;
        payment
    }

    pub(crate) async fn endpoint(&self, events: &[&str]) -> EndpointId {
        let mut tx = self.begin().await;
        let id = EndpointId(crate::new_id());
        let request = json!({ "url": "https://shop.example.com/hooks", "events": events });
        let request = serde_json::from_value(request).expect("a request");
        let tenant = (self.merchant, Mode::Test);
        let created = webhook_endpoints::insert(&mut tx, &self.store, tenant, id, &request).await;
        created.expect("inserted").expect("an endpoint");
        tx.commit().await.expect("committed");
        id
    }

    /// Inserts an event of a charge, without deliveries.
    pub(crate) async fn event(&self, subject: Uuid, sequence: i64) -> EventId {
        let event = EventId(crate::new_id());
        let (id, m) = (event.uuid(), self.merchant.uuid());
        self.run(&format!(
            "insert into events (id, merchant_id, mode, type, subject_type, subject_id, sequence, data)
             values ('{id}', '{m}', 'test', 'charge.paid', 'charge', '{subject}', {sequence}, '{{}}')"
        ))
        .await;
        event
    }

    /// Inserts pending deliveries of one event, due at the SQL expression `due_at`. Returns their ids in order.
    pub(crate) async fn deliveries(
        &self,
        endpoint: EndpointId,
        count: u32,
        due_at: &str,
    ) -> Vec<DeliveryId> {
        let event = self.event(crate::new_id(), 1).await.uuid();
        let (w, m) = (endpoint.uuid(), self.merchant.uuid());
        let ids = self
            .texts(&format!(
                "with added as (
                     insert into deliveries (id, merchant_id, mode, event_id, event_type, subject_id, endpoint_id, next_check_at)
                     select uuidv7(), '{m}', 'test', '{event}', 'charge.paid', '{event}', '{w}', {due_at}
                       from generate_series(1, {count}) returning id)
                 select id::text from added order by id"
            ))
            .await;
        let ids = ids.iter().map(|id| DeliveryId(id.parse().expect("an id")));
        ids.collect()
    }

    pub(crate) async fn job(&self, delivery: DeliveryId) -> DeliveryJob {
        let job = deliveries::load(&mut *self.db().await, delivery).await;
        job.expect("read").expect("a delivery")
    }
}

async fn new_merchant(store: &Store) -> MerchantId {
    let mut db = store.pool.acquire().await.expect("a connection");
    let merchant = merchants::insert(&mut db, store.master(), "Loja").await;
    merchant.expect("a merchant")
}

async fn connection(
    store: &Store,
    merchant: MerchantId,
    gateway: GatewayKind,
    label: &str,
) -> Connection {
    let api = if gateway == GatewayKind::Efi {
        GatewayApi::EfiPix
    } else if gateway == GatewayKind::Stripe {
        GatewayApi::Stripe
    } else {
        GatewayApi::Asaas
    };
    let new = NewConnection {
        id: ConnectionId(crate::new_id()),
        merchant,
        mode: Mode::Test,
        gateway,
        label,
        fingerprint: label,
        credentials: &json!({ "api_key": label }),
        apis: &[api],
        replace_address: false,
    };
    let mut tx = store.begin().await.expect("a transaction");
    connections::insert(&mut tx, store, &new)
        .await
        .expect("a connection");
    let found = connections::find(&mut tx, new.id).await.expect("read");
    tx.commit().await.expect("committed");
    found.expect("a connection")
}
