//! The address of a Pix key.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Response, StatusCode},
    response::IntoResponse,
};
use serde_json::{Value, json};

use super::{Efi, auth::Account, instant, wrong};
use crate::sim::lock;

const TEST_TIMEOUT: Duration = Duration::from_secs(5);

/// `PUT /v2/webhook/{chave}`. Unless told to skip it, the address is first called without a certificate, and must refuse; that is
/// what a receiver on plain HTTP cannot do.
pub(super) async fn register(
    State(efi): State<Arc<Efi>>,
    Path(key): Path<String>,
    Account(account): Account,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response<Body> {
    let Some(url) = body["webhookUrl"]
        .as_str()
        .filter(|url| url.starts_with("http"))
    else {
        return wrong(
            StatusCode::BAD_REQUEST,
            "webhook_invalido",
            "Campo webhookUrl inválido",
        );
    };
    let skip = headers
        .get("x-skip-mtls-checking")
        .is_some_and(|value| value == "true");
    if !skip {
        let test = efi
            .sim
            .http
            .post(url)
            .timeout(TEST_TIMEOUT)
            .json(&json!({}))
            .send()
            .await;
        if test.is_ok_and(|answer| answer.status().is_success()) {
            let message = "A URL informada respondeu sem exigir o certificado (mTLS)";
            return wrong(StatusCode::BAD_REQUEST, "webhook_invalido", message);
        }
    }
    let now = efi.sim.now();
    lock(&efi.state)
        .webhooks
        .insert((account, key), (url.to_owned(), now));
    (StatusCode::CREATED, Json(json!({ "webhookUrl": url }))).into_response()
}

/// `GET /v2/webhook/{chave}`.
pub(super) async fn read(
    State(efi): State<Arc<Efi>>,
    Path(key): Path<String>,
    Account(account): Account,
) -> Response<Body> {
    match lock(&efi.state).webhooks.get(&(account, key.clone())) {
        Some((url, at)) => {
            Json(json!({ "webhookUrl": url, "chave": key, "criacao": instant(*at) }))
                .into_response()
        }
        None => absent(),
    }
}

/// `DELETE /v2/webhook/{chave}`.
pub(super) async fn remove(
    State(efi): State<Arc<Efi>>,
    Path(key): Path<String>,
    Account(account): Account,
) -> Response<Body> {
    match lock(&efi.state).webhooks.remove(&(account, key)) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => absent(),
    }
}

fn absent() -> Response<Body> {
    wrong(
        StatusCode::NOT_FOUND,
        "webhook_nao_encontrado",
        "Nenhum webhook encontrado para a chave informada",
    )
}
