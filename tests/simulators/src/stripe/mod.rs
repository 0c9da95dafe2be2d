#![doc = include_str!("README.md")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    routing::{any, get, post},
};

use serde_json::json;

use crate::{
    sim::Sim,
    simulator::{Descriptor, Simulator},
};

mod account;
mod behavior;
mod boleto;
mod booking;
mod call;
mod charge;
mod collection;
mod control_api;
mod conversation;
mod dispute;
mod errors;
mod event;
mod expand;
mod form;
mod idempotency;
mod intent;
mod list;
mod method;
mod nulls;
mod refund;
mod session;
mod state;
mod transaction;
mod webhook;

use call::Cause;
use errors::ApiError;
use state::State;

const VERSION: &str = "2026-10-28.endive";
/// Interval at which due changes are applied without a request.
const TICK: Duration = Duration::from_millis(100);

pub(crate) struct Stripe {
    sim: Arc<Sim>,
    state: Mutex<State>,
}

impl Simulator for Stripe {
    fn router(self: Arc<Self>) -> Router {
        router(self)
    }
}

impl Stripe {
    pub(crate) const DESCRIPTOR: Descriptor = Descriptor {
        gateway: "stripe",
        api: "stripe",
        name: "stripe",
        demands_certificate: false,
        credentials: |account, _| json!({ "secret_key": format!("sk_test_{account}") }),
        open: |sim, _| Ok(Arc::new(Self::new(Arc::new(sim)))),
    };

    fn new(sim: Arc<Sim>) -> Self {
        Self {
            sim,
            state: Mutex::default(),
        }
    }
}

/// Returns all routes and starts the clock.
fn router(stripe: Arc<Stripe>) -> Router {
    tick(stripe.clone());
    let control = behavior::control(stripe.clone());
    let api = payments().merge(money()).merge(account());
    let api = api
        .route("/v1/{*anything}", any(unrecognized))
        .layer(from_fn(conversation::word))
        .layer(from_fn_with_state(stripe.clone(), idempotency::once))
        .layer(from_fn_with_state(stripe.clone(), conversation::stamp))
        .with_state(stripe);
    control.merge(api)
}

fn payments() -> Router<Arc<Stripe>> {
    Router::new()
        .route(
            "/v1/payment_intents",
            post(intent::create).get(intent::list),
        )
        .route("/v1/payment_intents/search", get(intent::search))
        .route("/v1/payment_intents/{id}", get(intent::retrieve))
        .route("/v1/payment_intents/{id}/cancel", post(intent::cancel))
        .route("/v1/payment_intents/{id}/confirm", post(intent::confirm))
        .route("/v1/payment_methods/{id}", get(method::retrieve))
        .route(
            "/v1/checkout/sessions",
            post(session::create).get(session::list),
        )
        .route("/v1/checkout/sessions/{id}", get(session::retrieve))
        .route("/v1/checkout/sessions/{id}/line_items", get(session::lines))
        .route("/v1/checkout/sessions/{id}/expire", post(session::expire))
}

fn money() -> Router<Arc<Stripe>> {
    Router::new()
        .route("/v1/charges", get(charge::list))
        .route("/v1/charges/{id}", get(charge::retrieve))
        .route("/v1/refunds", post(refund::create).get(refund::list))
        .route("/v1/refunds/{id}", get(refund::retrieve))
        .route("/v1/disputes", get(dispute::list))
        .route("/v1/disputes/{id}", get(dispute::retrieve))
        .route("/v1/balance", get(booking::balance))
        .route("/v1/balance_transactions", get(booking::list))
        .route("/v1/balance_transactions/{id}", get(booking::retrieve))
}

fn account() -> Router<Arc<Stripe>> {
    Router::new()
        .route("/v1/account", get(account::read))
        .route("/v1/events", get(event::list))
        .route("/v1/events/{id}", get(event::read))
        .route(
            "/v1/webhook_endpoints",
            post(webhook::create).get(webhook::list),
        )
        .route(
            "/v1/webhook_endpoints/{id}",
            get(webhook::retrieve)
                .post(webhook::change)
                .delete(webhook::remove),
        )
}

async fn unrecognized(request: Request) -> ApiError {
    let (method, path) = (request.method(), request.uri().path());
    let message = format!(
        "Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at https://support.stripe.com/."
    );
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
}

/// Applies due changes in the background, even without requests.
fn tick(stripe: Arc<Stripe>) {
    if stripe.sim.is_in_process() {
        return;
    }
    let (stop, tracker) = (stripe.sim.stop.clone(), stripe.sim.tracker.clone());
    tracker.spawn(async move {
        stop.run_until_cancelled(async move {
            loop {
                tokio::time::sleep(TICK).await;
                drop(stripe.begin(Cause::default()));
            }
        })
        .await;
    });
}
