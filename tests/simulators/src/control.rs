//! The control, the same for every simulator.

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

/// A charge that exists at a gateway.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    pub id: String,
    pub reference: String,
    pub description: String,
    /// `pix`, `boleto` or `card`.
    pub method: &'static str,
    /// The gateway's own word.
    pub status: String,
    /// In centavos.
    pub amount: i64,
    pub payable: bool,
    pub paid: bool,
    /// Given back so far, in centavos.
    pub refunded: i64,
    /// Whether a dispute is open or was lost.
    pub disputed: bool,
    pub created_at: DateTime<Utc>,
    /// What the simulator spent on the requests about it, in microseconds.
    pub service_us: u64,
    pub account: String,
}

/// What a person, or the time, does to a charge.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// Of this many centavos, if not of what was asked.
    Pay(Option<i64>),
    /// Its last payable moment passes.
    Expire,
    /// The gateway, or somebody in its panel, cancels it.
    Cancel,
    /// The due date passes, and it stays payable.
    Overdue,
    /// The payer's means are declined.
    Fail,
    /// Somebody in the gateway's panel gives money back: so many centavos, if not all.
    Refund(Option<i64>),
    /// The payer claims money back (MED, chargeback, dispute): so many centavos, if not all.
    Dispute(Option<i64>),
    /// The open dispute ends; `won`: the merchant keeps the money.
    CloseDispute { won: bool },
}

/// A simulated gateway, as the control sees it.
pub(crate) trait ControlApi: Send + Sync {
    fn sim(&self) -> &Arc<Sim>;
    fn charges(&self) -> Vec<Held>;
    /// `charge`: an id or a reference. The error is for people.
    fn act(&self, charge: &str, action: Action, notify: bool) -> Result<(), String>;
    /// Adds so many copies of a charge, newer and under references of somebody else: volume for lists.
    fn copy(&self, _charge: &str, _count: u64) -> Result<(), String> {
        Err("this simulator copies no charges".to_owned())
    }
    /// Time spent on a charge.
    fn served(&self, reference: &str, us: u64);
    /// Does what is due by the clock: called before each request, and when the clock is advanced.
    fn due(&self) {}
    /// The settings that only this gateway has: an object.
    fn own_settings(&self) -> Value {
        json!({})
    }
    /// Takes all of them, changed. The error is for people.
    fn set_own(&self, _settings: Value) -> Result<(), String> {
        Ok(())
    }
    /// An error of that status in the gateway's own shape.
    fn refusal(&self, status: StatusCode) -> Response<axum::body::Body>;
    fn reset(&self);
    /// Forgets what was created; addresses that were registered stay.
    fn forget(&self);
}

#[derive(Clone)]
struct ControlApis(Arc<Vec<Arc<dyn ControlApi>>>);

type ControlError = (StatusCode, String);

impl ControlApis {
    /// The gateway of that name, up to date.
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
