//! Headers and errors that all responses share.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Response},
    middleware::Next,
};

use super::{
    Stripe, VERSION,
    account::Account,
    call::{RequestId, is_version},
    errors::ApiError,
};

/// Assigns an id to the request, and sets the shared headers of the response.
pub(super) async fn stamp(
    State(stripe): State<Arc<Stripe>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let id = format!("req_{}", stripe.sim.random(14));
    request.extensions_mut().insert(RequestId(id.clone()));
    let version = request.headers().get("stripe-version").cloned();
    let version = version.filter(|version| version.to_str().is_ok_and(is_version));
    let key = request.headers().get("idempotency-key").cloned();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("request-id", id);
    }
    if let Some(key) = key {
        headers.insert("idempotency-key", key);
    }
    let version = version.unwrap_or(HeaderValue::from_static(VERSION));
    headers.insert("stripe-version", version);
    response
}

/// Replaces an `ApiError` with the error response.
pub(super) async fn word(request: Request, next: Next) -> Response<Body> {
    let id = id_of(&request);
    let live = is_live(request.headers());
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<ApiError>() {
        Some(wrong) => {
            let mut worded = wrong.answer(Some((&id, live)));
            if wrong.executed {
                worded.extensions_mut().insert(Executed);
            }
            worded
        }
        None => response,
    }
}

/// Marker of an error that occurred after the call had begun.
#[derive(Clone)]
pub(super) struct Executed;

pub(super) fn id_of(request: &Request) -> String {
    let id = request.extensions().get::<RequestId>();
    id.map(|RequestId(id)| id.clone()).unwrap_or_default()
}

pub(super) fn is_live(headers: &HeaderMap) -> bool {
    Account::of(headers).is_ok_and(|account| account.live)
}
