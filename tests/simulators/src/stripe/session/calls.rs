//! Endpoints of checkout sessions except creation.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};

use super::Session;
use crate::stripe::{
    Stripe,
    call::{Answer, Call},
    errors::ApiError,
    list as lists,
};

/// Handles `GET /v1/checkout/sessions/{id}`.
pub(in crate::stripe) async fn retrieve(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[])?;
    let tx = stripe.begin(call.cause.clone());
    let session = tx.state.sessions.get(&call.account, &id)?;
    call.answer(&tx, session.json())
}

/// Handles `GET /v1/checkout/sessions/{id}/line_items`.
pub(in crate::stripe) async fn lines(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[&["limit"]])?;
    let tx = stripe.begin(call.cause.clone());
    let session = tx.state.sessions.get(&call.account, &id)?;
    call.answer(&tx, session.lines_json())
}

/// Handles `GET /v1/checkout/sessions`.
pub(in crate::stripe) async fn list(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[&lists::KNOWN, &["payment_intent", "status", "customer"]])?;
    let tx = stripe.begin(call.cause.clone());
    let (intent, status) = (call.form.get("payment_intent"), call.form.get("status"));
    let wanted = |session: &Session| {
        intent.is_none_or(|intent| session.intent.as_deref() == Some(intent))
            && status.is_none_or(|status| session.status == status)
            && !call.form.has("customer")
    };
    let url = "/v1/checkout/sessions";
    let page = lists::page(&call, &tx.state.sessions, url, wanted, Session::json)?;
    call.answer(&tx, page)
}

/// Handles `POST /v1/checkout/sessions/{id}/expire`.
pub(in crate::stripe) async fn expire(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[])?;
    let mut tx = stripe.begin(call.cause.clone());
    let session = tx.state.sessions.get(&call.account, &id)?;
    if session.status != "open" {
        let message = format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of `{}`.",
            session.status
        );
        return Err(ApiError::state(None, message));
    }
    tx.expire_session(&id);
    let session = tx.state.sessions.get(&call.account, &id)?;
    call.answer(&tx, session.json())
}
