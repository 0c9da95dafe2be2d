//! Where events are sent.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{Response, StatusCode},
    response::IntoResponse,
};
use serde_json::{Value, json};

use super::{Endpoint, Stripe, account::Account, form::Form, wrong};
use crate::sim::lock;

const MAX_ENDPOINTS: usize = 16;

fn json_of(endpoint: &Endpoint, with_secret: bool) -> Value {
    let mut json = json!({
        "id": endpoint.id, "object": "webhook_endpoint", "url": endpoint.url, "enabled_events": endpoint.events,
        "api_version": endpoint.api_version, "status": "enabled", "livemode": endpoint.live, "metadata": {},
        "created": endpoint.created_at.timestamp(), "description": null, "application": null,
    });
    if with_secret {
        json["secret"] = endpoint.secret.clone().into();
    }
    json
}

/// `POST /v1/webhook_endpoints`: the only answer with the secret.
pub(super) async fn create(
    State(stripe): State<Arc<Stripe>>,
    account: Account,
    body: Bytes,
) -> Response<Body> {
    match made(&stripe, &account, &Form::read(&body)) {
        Ok(endpoint) => {
            let json = json_of(&endpoint, true);
            lock(&stripe.state)
                .endpoints
                .insert(endpoint.id.clone(), endpoint);
            Json(json).into_response()
        }
        Err(refused) => *refused,
    }
}

fn made(stripe: &Stripe, account: &Account, form: &Form) -> Result<Endpoint, Box<Response<Body>>> {
    form.only(&[
        "url",
        "enabled_events",
        "api_version",
        "description",
        "metadata",
        "connect",
    ])?;
    let url = form.need("url")?.to_owned();
    let events: Vec<_> = form
        .list("enabled_events")
        .into_iter()
        .map(ToOwned::to_owned)
        .collect();
    if events.is_empty() {
        form.need("enabled_events")?;
    }
    let mine = lock(&stripe.state)
        .endpoints
        .values()
        .filter(|e| e.account == account.id && e.live == account.live)
        .count();
    if mine >= MAX_ENDPOINTS {
        return Err(Box::new(wrong(
            StatusCode::BAD_REQUEST,
            "invalid_request_error",
            Some("webhook_endpoints_limit"),
            None,
        )));
    }
    Ok(Endpoint {
        account: account.id.clone(),
        live: account.live,
        id: format!("we_{}", stripe.sim.random(24)),
        url,
        events,
        api_version: form.get("api_version").map(ToOwned::to_owned),
        secret: format!("whsec_{}", stripe.sim.random(32)),
        created_at: stripe.sim.now(),
    })
}

/// `GET /v1/webhook_endpoints`.
pub(super) async fn list(State(stripe): State<Arc<Stripe>>, account: Account) -> Json<Value> {
    let state = lock(&stripe.state);
    let mine = state
        .endpoints
        .values()
        .filter(|endpoint| endpoint.account == account.id && endpoint.live == account.live);
    let data: Vec<_> = mine.map(|endpoint| json_of(endpoint, false)).collect();
    Json(
        json!({ "object": "list", "url": "/v1/webhook_endpoints", "has_more": false, "data": data }),
    )
}

/// `GET /v1/webhook_endpoints/{id}`.
pub(super) async fn read(
    State(stripe): State<Arc<Stripe>>,
    account: Account,
    Path(id): Path<String>,
) -> Response<Body> {
    match lock(&stripe.state)
        .endpoints
        .get(&id)
        .filter(|endpoint| endpoint.account == account.id)
    {
        Some(endpoint) => Json(json_of(endpoint, false)).into_response(),
        None => wrong(
            StatusCode::NOT_FOUND,
            "invalid_request_error",
            Some("resource_missing"),
            Some("webhook_endpoint"),
        ),
    }
}

/// `DELETE /v1/webhook_endpoints/{id}`.
pub(super) async fn remove(
    State(stripe): State<Arc<Stripe>>,
    account: Account,
    Path(id): Path<String>,
) -> Response<Body> {
    let mut state = lock(&stripe.state);
    if state
        .endpoints
        .get(&id)
        .is_none_or(|endpoint| endpoint.account != account.id)
    {
        return wrong(
            StatusCode::NOT_FOUND,
            "invalid_request_error",
            Some("resource_missing"),
            Some("webhook_endpoint"),
        );
    }
    state.endpoints.remove(&id);
    Json(json!({ "id": id, "object": "webhook_endpoint", "deleted": true })).into_response()
}
