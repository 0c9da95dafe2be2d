//! What only Stripe's simulator can do differently: `GET`, `PUT /_sim/stripe/behavior`.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Stripe, call::Cause};
use crate::sim::lock;

/// The defaults are what Stripe most likely does; what waits does so on the virtual clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Behavior {
    /// A paid Pix is `processing` first, for `clearing_s`.
    pub pix_processing: bool,
    /// How long a paid boleto (and such a Pix) is `processing`. Stripe: one business day.
    pub clearing_s: i64,
    /// When an address that says nothing else pays in test mode. Stripe: 180; none: never by itself.
    pub plain_email_pays_after_s: Option<i64>,
    /// How far the search is behind.
    pub search_lag_s: i64,
    /// How long a refund of a Pix is `pending`.
    pub pix_refund_settles_after_s: i64,
    pub refunds: RefundEnd,
    /// When a dispute of a Pix, which nobody can contest, is lost.
    pub pix_dispute_lost_after_s: i64,
    /// Why cards are declined.
    pub decline_code: String,
    /// In how many parts cards pay where the session offers installments.
    pub installments: u32,
    /// How long an idempotency key is kept.
    pub key_kept_s: i64,
    /// How long a `POST` runs while its key is in use.
    pub execution_ms: u64,
    /// So many `POST`s end in a 500, which their keys keep.
    pub internal_errors: u32,
    /// Those happen nevertheless.
    pub internal_errors_after_effect: bool,
}

/// How refunds end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefundEnd {
    Succeed,
    /// Instead of succeeding.
    Fail,
    /// After having succeeded, as long after it again.
    FailLater,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            pix_processing: false,
            clearing_s: 0,
            plain_email_pays_after_s: None,
            search_lag_s: 60,
            pix_refund_settles_after_s: 1,
            refunds: RefundEnd::Succeed,
            pix_dispute_lost_after_s: 1,
            decline_code: "generic_decline".to_owned(),
            installments: 1,
            key_kept_s: 86_400,
            execution_ms: 0,
            internal_errors: 0,
            internal_errors_after_effect: false,
        }
    }
}

/// The control that only Stripe has.
pub(super) fn control(stripe: Arc<Stripe>) -> Router {
    Router::new()
        .route("/_sim/stripe/behavior", get(read).put(change))
        .route("/_sim/stripe/refunds/{refund}/fail", post(fail))
        .with_state(stripe)
}

type Refused = (StatusCode, String);

async fn read(State(stripe): State<Arc<Stripe>>) -> Json<Behavior> {
    Json(lock(&stripe.state).behavior.clone())
}

/// Changes what is named; the rest stays.
async fn change(
    State(stripe): State<Arc<Stripe>>,
    Json(changes): Json<Map<String, Value>>,
) -> Result<Json<Behavior>, Refused> {
    let mut state = lock(&stripe.state);
    let mut now = serde_json::to_value(&state.behavior).unwrap_or_default();
    for (name, value) in changes {
        now[&name] = value;
    }
    state.behavior = serde_json::from_value(now)
        .map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")))?;
    Ok(Json(state.behavior.clone()))
}

/// A refund comes back: the bank did not take it.
async fn fail(
    State(stripe): State<Arc<Stripe>>,
    Path(refund): Path<String>,
) -> Result<Json<Value>, Refused> {
    let mut tx = stripe.begin(Cause::default());
    if tx.fail_refund(&refund) {
        Ok(Json(json!({})))
    } else {
        Err((
            StatusCode::CONFLICT,
            "there is no such refund to fail\n".to_owned(),
        ))
    }
}
