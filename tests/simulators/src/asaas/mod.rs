#![doc = include_str!("README.md")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use axum::{
    Router, middleware,
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use url::Url;

use crate::{
    control::{Action, ControlApi},
    sim::{Sim, lock},
    simulator::{Descriptor, Simulator},
};

mod account;
mod answer;
mod behavior;
mod boleto;
mod checkout;
mod code;
mod control_api;
mod customer;
mod event;
mod lifecycle;
mod limits;
mod link;
mod order;
mod payment;
mod payments;
mod queue;
mod refund;
mod terms;
mod webhook;

use answer::Refusal;
use behavior::Behavior;
use checkout::Checkout;
use customer::Customer;
use lifecycle::Moment;
use limits::Limits;
use link::Link;
use payment::Payment;
use webhook::Webhook;

/// Valid document for payers without a document of their own.
const SOMEBODY: &str = "24971563792";

pub(crate) struct Asaas {
    sim: Arc<Sim>,
    state: Mutex<State>,
    behavior: Mutex<Behavior>,
    limits: Limits,
    /// Signal that a notification is ready to be sent.
    wake: Notify,
    /// Simulator that renders notifications without sending them.
    scribe: Arc<Sim>,
}

#[derive(Default)]
struct State {
    customers: BTreeMap<String, Customer>,
    payments: BTreeMap<String, Payment>,
    /// Payment ids in the order of creation.
    order: Vec<String>,
    by_reference: HashMap<String, Vec<String>>,
    checkouts: BTreeMap<String, Checkout>,
    links: BTreeMap<String, Link>,
    webhooks: BTreeMap<String, Webhook>,
    /// Times and ids of the next checks.
    agenda: BTreeSet<(DateTime<Utc>, String)>,
    made: u64,
}

impl State {
    /// Returns the next number for customers, invoices and events.
    fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    fn add(&mut self, payment: Payment) {
        self.order.push(payment.id.clone());
        self.index(&payment);
        self.payments.insert(payment.id.clone(), payment);
    }

    /// Adds the payment to the index by reference.
    fn index(&mut self, payment: &Payment) {
        if let Some(reference) = &payment.reference {
            let ids = self.by_reference.entry(reference.clone()).or_default();
            ids.push(payment.id.clone());
        }
    }

    /// Removes the payment from the index under its former reference.
    fn forget(&mut self, id: &str, reference: Option<&String>) {
        if let Some(ids) = reference.and_then(|old| self.by_reference.get_mut(old)) {
            ids.retain(|one| one != id);
        }
    }
}

/// Error for an object that was deleted meanwhile.
struct Gone;

impl From<Gone> for Refusal {
    fn from(_: Gone) -> Self {
        Self::Absent
    }
}

impl From<Gone> for String {
    fn from(_: Gone) -> Self {
        "it is gone".to_owned()
    }
}

fn router(asaas: Arc<Asaas>) -> Router {
    let control = Router::new()
        .route(
            "/_sim/asaas/refunds/{charge}/{end}",
            post(control_api::end_refund),
        )
        .route(
            "/_sim/asaas/events/{charge}/{event}",
            post(control_api::notify_event),
        );
    let gated = middleware::from_fn_with_state(asaas.clone(), limits::pass);
    asaas.clone().live();
    payment_routes()
        .merge(other_routes())
        .layer(gated)
        .merge(control)
        .with_state(asaas)
}

fn payment_routes() -> Router<Arc<Asaas>> {
    Router::new()
        .route("/v3/payments", post(payments::create).get(payments::list))
        .route(
            "/v3/payments/{id}",
            get(payments::read)
                .put(payments::change)
                .delete(payments::delete),
        )
        .route("/v3/payments/{id}/status", get(payments::status))
        .route("/v3/payments/{id}/pixQrCode", get(code::read))
        .route("/v3/payments/{id}/identificationField", get(payments::line))
        .route("/v3/payments/{id}/restore", post(payments::restore))
        .route("/v3/payments/{id}/receiveInCash", post(payments::by_hand))
        .route(
            "/v3/payments/{id}/undoReceivedInCash",
            post(payments::undo_by_hand),
        )
        .route("/v3/payments/{id}/refund", post(refund::create))
        .route("/v3/payments/{id}/bankSlip/refund", post(refund::of_slip))
        .route("/v3/payments/{id}/refunds", get(refund::list))
        .route("/v3/sandbox/payment/{id}/confirm", post(payments::confirm))
        .route("/v3/sandbox/payment/{id}/overdue", post(payments::overdue))
}

fn other_routes() -> Router<Arc<Asaas>> {
    Router::new()
        .route("/v3/customers", post(customer::create).get(customer::list))
        .route(
            "/v3/customers/{id}",
            get(customer::read).delete(customer::delete),
        )
        .route("/v3/checkouts", post(checkout::create))
        .route("/v3/checkouts/{id}/cancel", post(checkout::cancel))
        .route("/v3/paymentLinks", post(link::create).get(link::list))
        .route(
            "/v3/paymentLinks/{id}",
            get(link::read).delete(link::delete),
        )
        .route("/v3/webhooks", post(webhook::create).get(webhook::list))
        .route(
            "/v3/webhooks/{id}",
            get(webhook::read)
                .put(webhook::change)
                .delete(webhook::remove),
        )
        .route(
            "/v3/webhooks/{id}/removeBackoff",
            post(webhook::remove_backoff),
        )
        .route("/v3/finance/balance", get(account::balance))
        .route("/v3/myAccount", get(account::account))
        .route("/v3/myAccount/status", get(account::status))
        .route("/v3/myAccount/fees", get(account::fees))
        .route("/v3/pix/transactions", get(account::transactions))
        .route("/v3/pix/transactions/{id}", get(account::one_transaction))
}

/// Returns 32 random hexadecimal digits.
fn hex(sim: &Sim) -> String {
    hex::encode(&Sha256::digest(sim.random(32))[..16])
}

fn uuid(sim: &Sim) -> String {
    uuid::Uuid::parse_str(&hex(sim))
        .unwrap_or_default()
        .to_string()
}

fn is_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

impl Simulator for Asaas {
    fn router(self: Arc<Self>) -> Router {
        router(self)
    }
}

impl Asaas {
    pub(crate) const DESCRIPTOR: Descriptor = Descriptor {
        gateway: "asaas",
        api: "asaas",
        name: "asaas",
        demands_certificate: false,
        credentials: |account, _| json!({ "api_key": format!("$aact_hmlg_{account}") }),
        open: |sim, _| Ok(Arc::new(Self::new(Arc::new(sim)))),
    };

    fn new(sim: Arc<Sim>) -> Self {
        Self {
            sim,
            state: Mutex::default(),
            behavior: Mutex::default(),
            limits: Limits::default(),
            wake: Notify::new(),
            scribe: queue::scribe(),
        }
    }

    fn behavior(&self) -> Behavior {
        lock(&self.behavior).clone()
    }

    /// Returns a payment of the account.
    fn payment(&self, account: &str, id: &str) -> Result<Payment, Refusal> {
        let state = lock(&self.state);
        let found = state.payments.get(id);
        let mine = found.filter(|payment| payment.account == account);
        mine.cloned().ok_or(Refusal::Absent)
    }

    /// Returns true if the account has this customer.
    fn knows(&self, account: &str, id: &str) -> bool {
        let state = lock(&self.state);
        let found = state.customers.get(id);
        found.is_some_and(|customer| customer.account == account && !customer.deleted)
    }

    /// Creates a customer for a hosted page and returns the id.
    fn walk_in(&self, account: &str) -> String {
        let sent = json!({ "name": "Cliente do checkout", "cpfCnpj": SOMEBODY });
        let mut state = lock(&self.state);
        let customer = Customer {
            account: account.to_owned(),
            id: format!("cus_{:012}", state.number()),
            created_at: self.sim.now(),
            deleted: false,
            sent: sent.as_object().cloned().unwrap_or_default(),
        };
        let id = customer.id.clone();
        state.customers.insert(id.clone(), customer);
        id
    }

    /// Applies a change to a payment, schedules its checks and sends its events.
    fn on<E: From<Gone>>(
        &self,
        id: &str,
        notify: bool,
        what: impl FnOnce(&mut Payment, &mut Moment) -> Result<(), E>,
    ) -> Result<Payment, E> {
        let behavior = self.behavior();
        let mut moment = Moment {
            now: self.sim.now(),
            sim: &self.sim,
            behavior: &behavior,
            reported: Vec::new(),
            scheduled: Vec::new(),
        };
        let mut state = lock(&self.state);
        let payment = state.payments.get_mut(id).ok_or(Gone)?;
        what(payment, &mut moment)?;
        let payment = payment.clone();
        state.agenda.extend(moment.scheduled);
        drop(state);
        if notify {
            self.notify(moment.reported);
        }
        Ok(payment)
    }

    /// Applies all checks that are due.
    fn tick(&self) {
        let now = self.sim.now();
        loop {
            let mut state = lock(&self.state);
            let due = state.agenda.first().is_some_and(|(at, _)| *at <= now);
            let first = if due { state.agenda.pop_first() } else { None };
            drop(state);
            let Some((_, id)) = first else {
                return;
            };
            if id.starts_with("pay_") {
                let _ = self.on(&id, true, |payment, moment| {
                    payment.wake(moment);
                    Ok::<_, String>(())
                });
            } else {
                let _ = self.end_checkout(&id, ("EXPIRED", "CHECKOUT_EXPIRED"), true);
            }
        }
    }

    fn expect_payment(self: &Arc<Self>, id: &str) {
        if let Some(after_ms) = self.sim.settings().auto_pay_ms {
            let (asaas, id) = (self.clone(), id.to_owned());
            self.sim.later(after_ms, async move {
                let _ = asaas.act(&id, Action::Pay(None), true);
            });
        }
    }
}
