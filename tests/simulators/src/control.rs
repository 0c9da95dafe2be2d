//! The control API, the same for every simulator.

use std::sync::Arc;

use axum::{
    Router,
    http::{Response, StatusCode},
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use crate::sim::Sim;

mod charge;
mod fault;
mod notification;
mod page;
mod settings;

/// Charge that exists at a gateway.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    pub id: String,
    pub reference: String,
    pub description: String,
    /// `pix`, `boleto` or `card`.
    pub method: &'static str,
    /// Status in the gateway's own terms.
    pub status: String,
    /// Amount in centavos.
    pub amount: i64,
    pub payable: bool,
    pub paid: bool,
    /// Amount refunded so far, in centavos.
    pub refunded: i64,
    /// True if a dispute is open or was lost.
    pub disputed: bool,
    pub created_at: DateTime<Utc>,
    /// Time that the simulator spent on requests about this charge, in microseconds.
    pub service_us: u64,
    pub account: String,
}

/// Action on a charge by a person or by the passing of time.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// The payer pays this many centavos. Defaults to the charge's amount.
    Pay(Option<i64>),
    /// The last payable moment passes.
    Expire,
    /// The gateway, or the merchant in the gateway's dashboard, cancels the charge.
    Cancel,
    /// The due date passes. The charge stays payable.
    Overdue,
    /// The payer's payment is declined.
    Fail,
    /// The merchant refunds this many centavos in the gateway's dashboard. Defaults to the whole amount.
    Refund(Option<i64>),
    /// The payer disputes this many centavos (MED, chargeback, dispute). Defaults to the whole amount.
    Dispute(Option<i64>),
    /// The open dispute closes. If `won`, the merchant retains the money.
    CloseDispute { won: bool },
}

/// Interface of a simulated gateway for the control API.
pub(crate) trait ControlApi: Send + Sync {
    fn sim(&self) -> &Arc<Sim>;
    fn charges(&self) -> Vec<Held>;
    /// Applies an action to a charge, given by its id or reference. The error is a text for people.
    fn act(&self, charge: &str, action: Action, notify: bool) -> Result<(), String>;
    /// Adds copies of a charge, newer and with references of another system, as volume for lists.
    fn copy(&self, _charge: &str, _count: u64) -> Result<(), String> {
        Err("this simulator copies no charges".to_owned())
    }
    /// Adds time spent on a charge, in microseconds.
    fn served(&self, reference: &str, us: u64);
    /// Performs the actions that are due by the clock. Called before each request, and when the clock is advanced.
    fn due(&self) {}
    /// Returns the settings that only this gateway has, as an object.
    fn own_settings(&self) -> Value {
        json!({})
    }
    /// Replaces all of the gateway's own settings. The error is a text for people.
    fn set_own(&self, _settings: Value) -> Result<(), String> {
        Ok(())
    }
    /// Returns an error response with this status in the gateway's own format.
    fn refusal(&self, status: StatusCode) -> Response<axum::body::Body>;
    fn reset(&self);
    /// Deletes all created objects. Registered webhook addresses remain.
    fn forget(&self);
}

#[derive(Clone)]
struct ControlApis(Arc<Vec<Arc<dyn ControlApi>>>);

type ControlError = (StatusCode, String);

impl ControlApis {
    /// Returns the gateway with this name after performing its due actions.
    fn of(&self, gateway: &str) -> Result<Arc<dyn ControlApi>, ControlError> {
        let found = self.0.iter().find(|api| api.sim().name == gateway);
        let api = found.cloned().ok_or_else(|| {
            let why = format!("no simulator is called {gateway}\n");
            (StatusCode::NOT_FOUND, why)
        })?;
        api.due();
        Ok(api)
    }
}

pub(crate) fn router(apis: Vec<Arc<dyn ControlApi>>) -> Router {
    Router::new()
        .route("/_sim", get(page::index))
        .route("/_sim/health", get(|| async { "ok\n" }))
        .route("/_sim/{gateway}", get(page::gateway))
        .route("/_sim/{gateway}/reset", post(settings::reset))
        .route("/_sim/{gateway}/charges", get(charge::list))
        .route(
            "/_sim/{gateway}/charges/{charge}/{action}",
            post(charge::act),
        )
        .route(
            "/_sim/{gateway}/faults",
            post(fault::add).get(fault::list).delete(fault::clear),
        )
        .route("/_sim/{gateway}/requests", get(notification::requests))
        .route("/_sim/{gateway}/notifications", get(notification::list))
        .route(
            "/_sim/{gateway}/notifications/{n}/resend",
            post(notification::resend),
        )
        .route("/_sim/{gateway}/notify", post(notification::notify))
        .route(
            "/_sim/{gateway}/settings",
            get(settings::read).put(settings::set),
        )
        .route("/_sim/{gateway}/clock", post(settings::clock))
        .with_state(ControlApis(Arc::new(apis)))
}
