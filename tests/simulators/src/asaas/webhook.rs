//! Where events are sent.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{Response, StatusCode},
    response::IntoResponse,
};
use serde_json::{Map, Value, json};

use super::{Account, Asaas, Webhook, absent, wrong};
use crate::sim::lock;

const MAX_WEBHOOKS: usize = 10;

fn json_of(webhook: &Webhook) -> Value {
    let mut json = Value::Object(webhook.sent.clone());
    json["id"] = webhook.id.clone().into();
    json["hasAuthToken"] = json["authToken"].is_string().into();
    json["penalizedRequestsCount"] = 0.into();
    if let Some(fields) = json.as_object_mut() {
        fields.remove("authToken");
    }
    json
}

/// `POST /v3/webhooks`.
pub(super) async fn create(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Json(sent): Json<Map<String, Value>>,
) -> Response<Body> {
    if !sent
        .get("url")
        .and_then(Value::as_str)
        .is_some_and(|url| url.starts_with("http"))
    {
        return wrong(
            StatusCode::BAD_REQUEST,
            "invalid_object",
            "A URL informada é inválida.",
        );
    }
    let id = format!("whk_{}", asaas.sim.random(24));
    let mut state = lock(&asaas.state);
    if state
        .webhooks
        .values()
        .filter(|webhook| webhook.account == account)
        .count()
        >= MAX_WEBHOOKS
    {
        return wrong(
            StatusCode::BAD_REQUEST,
            "invalid_action",
            "O limite de webhooks foi atingido.",
        );
    }
    let webhook = Webhook {
        account,
        id: id.clone(),
        sent,
        order: Arc::default(),
    };
    let json = json_of(&webhook);
    state.webhooks.insert(id, webhook);
    Json(json).into_response()
}

/// `GET /v3/webhooks`.
pub(super) async fn list(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
) -> Json<Value> {
    let state = lock(&asaas.state);
    let data: Vec<_> = state
        .webhooks
        .values()
        .filter(|webhook| webhook.account == account)
        .map(json_of)
        .collect();
    Json(
        json!({ "object": "list", "hasMore": false, "totalCount": data.len(), "limit": 100, "offset": 0, "data": data }),
    )
}

/// `GET /v3/webhooks/{id}`.
pub(super) async fn read(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Response<Body> {
    match lock(&asaas.state)
        .webhooks
        .get(&id)
        .filter(|webhook| webhook.account == account)
    {
        Some(webhook) => Json(json_of(webhook)).into_response(),
        None => absent(),
    }
}

/// `PUT /v3/webhooks/{id}`: what is named changes, the rest stays.
pub(super) async fn change(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
    Json(sent): Json<Map<String, Value>>,
) -> Response<Body> {
    match lock(&asaas.state)
        .webhooks
        .get_mut(&id)
        .filter(|webhook| webhook.account == account)
    {
        Some(webhook) => {
            webhook.sent.extend(sent);
            Json(json_of(webhook)).into_response()
        }
        None => absent(),
    }
}

/// `DELETE /v3/webhooks/{id}`.
pub(super) async fn remove(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Response<Body> {
    let mut state = lock(&asaas.state);
    if state
        .webhooks
        .get(&id)
        .is_none_or(|webhook| webhook.account != account)
    {
        return absent();
    }
    state.webhooks.remove(&id);
    Json(json!({ "deleted": true, "id": id })).into_response()
}
