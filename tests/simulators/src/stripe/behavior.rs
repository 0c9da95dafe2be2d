//! Settings of Stripe only: `GET`, `PUT /_sim/stripe/behavior`.

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

/// Behavior of the simulated Stripe. The defaults are Stripe's most likely behavior, with short or no delays. Delays run on the virtual
/// clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Behavior {
    /// True if a paid Pix is `processing` for `clearing_s` first.
    pub pix_processing: bool,
    /// Seconds for which a paid boleto (and a Pix with `pix_processing`) is `processing`. Stripe: one business day.
    pub clearing_s: i64,
    /// Seconds after which an intent pays in test mode if its email address requests nothing else. Stripe: 180. Without it, such an intent
    /// is not paid automatically.
    pub plain_email_pays_after_s: Option<i64>,
    /// Seconds by which the search index lags.
    pub search_lag_s: i64,
    /// Seconds for which a refund of a Pix is `pending`.
    pub pix_refund_settles_after_s: i64,
    pub refunds: RefundEnd,
    /// Seconds after which a dispute of a Pix, which cannot be contested, is lost.
    pub pix_dispute_lost_after_s: i64,
    /// Decline code of declined cards.
    pub decline_code: String,
    /// Number of installments of a card payment, if the session offers installments.
    pub installments: u32,
    /// Lifetime of an idempotency key in seconds.
    pub key_kept_s: i64,
    /// Duration of a `POST` in milliseconds, during which its key is in use.
    pub execution_ms: u64,
    /// Number of next `POST`s that fail with a 500, which their keys store.
    pub internal_errors: u32,
    /// True if these requests take effect nevertheless.
    pub internal_errors_after_effect: bool,
}

/// Result of refunds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefundEnd {
    Succeed,
    /// The refund fails without succeeding first.
    Fail,
    /// A Pix refund succeeds and fails after the same delay again. Other refunds succeed at once and fail after the delay.
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

/// Returns the routes of the control API that only Stripe has.
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

/// Changes the named settings. The others remain.
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

/// Fails a refund because the bank rejected it. The money returns to the balance.
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
