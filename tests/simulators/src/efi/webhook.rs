//! Endpoints `/v2/webhook`: one webhook per Pix key. A later registration replaces it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    Efi,
    auth::Account,
    error::ApiError,
    instant,
    listing::Listing,
    pix::{Pix, absent as no_pix},
    request::Sent,
};
use crate::sim::lock;

const KIND: &str = "WebhookOperacaoInvalida";
const NAME: &str = "webhook_invalido";
const TEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Age after which a Pix is not resent.
const MAX_AGE: TimeDelta = TimeDelta::days(30);

#[derive(Clone)]
pub(crate) struct Webhook {
    pub url: String,
    pub at: DateTime<Utc>,
}

impl Webhook {
    fn json(&self, key: &str) -> Value {
        json!({ "webhookUrl": self.url, "chave": key, "criacao": instant(self.at) })
    }
}

/// Handles `PUT /v2/webhook/{chave}`.
pub(super) async fn register(
    State(efi): State<Arc<Efi>>,
    Path(key): Path<String>,
    Account(account): Account,
    headers: HeaderMap,
    Sent(body): Sent,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let url = body.get("webhookUrl");
    let url = url.ok_or_else(|| ApiError::missing(KIND, "webhookUrl"))?;
    let url = url.as_str().filter(|url| url.starts_with("http"));
    let invalid = || ApiError::bad(NAME, KIND, "Campo webhookUrl inválido");
    let url = url.ok_or_else(invalid)?;
    let skip = headers
        .get("x-skip-mtls-checking")
        .is_some_and(|value| value == "true");
    if !skip {
        test(&efi, url).await?;
    }
    let webhook = Webhook {
        url: url.to_owned(),
        at: efi.sim.now(),
    };
    lock(&efi.state).webhooks.insert((account, key), webhook);
    Ok((StatusCode::CREATED, Json(json!({ "webhookUrl": url }))))
}

/// Tests a webhook: it must refuse a call without a certificate and accept one with Efí's. A receiver on plain HTTP cannot distinguish
/// them.
async fn test(efi: &Efi, url: &str) -> Result<(), ApiError> {
    let is_taken = async |client: &reqwest::Client| {
        let call = client.post(url).timeout(TEST_TIMEOUT).json(&json!({}));
        call.send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
    };
    if is_taken(&efi.third_party).await {
        let message = "A URL informada respondeu sem exigir o certificado (mTLS)";
        return Err(ApiError::bad(NAME, KIND, message));
    }
    if !is_taken(&efi.sim.http).await {
        let message = "A URL informada não respondeu com sucesso ao certificado da Efí (mTLS)";
        return Err(ApiError::bad(NAME, KIND, message));
    }
    Ok(())
}

fn absent() -> ApiError {
    let message = "Nenhum webhook encontrado para a chave informada";
    ApiError::absent("webhook_nao_encontrado", message)
}

/// Handles `GET /v2/webhook/{chave}`.
pub(super) async fn read(
    State(efi): State<Arc<Efi>>,
    Path(key): Path<String>,
    Account(account): Account,
) -> Result<Json<Value>, ApiError> {
    let of = (account, key);
    let state = lock(&efi.state);
    let webhook = state.webhooks.get(&of).ok_or_else(absent)?;
    Ok(Json(webhook.json(&of.1)))
}

/// Handles `DELETE /v2/webhook/{chave}`.
pub(super) async fn remove(
    State(efi): State<Arc<Efi>>,
    Path(key): Path<String>,
    Account(account): Account,
) -> Result<StatusCode, ApiError> {
    let removed = lock(&efi.state).webhooks.remove(&(account, key));
    removed.map(|_| StatusCode::NO_CONTENT).ok_or_else(absent)
}

/// Handles `GET /v2/webhook?inicio=&fim=`.
pub(super) async fn list(
    State(efi): State<Arc<Efi>>,
    Account(account): Account,
    listing: Listing,
) -> Result<Json<Value>, ApiError> {
    let window = listing.window("WebhookConsultaInvalida")?;
    let state = lock(&efi.state);
    let ours = state.webhooks.iter().filter(|((of, _), _)| *of == account);
    let found: Vec<_> = ours
        .filter(|(_, webhook)| window.contains(webhook.at))
        .map(|((_, key), webhook)| webhook.json(key))
        .collect();
    Ok(Json(window.page("webhooks", &found)))
}

/// Handles `POST /v2/gn/webhook/reenviar`: resends each notification once, without retries.
pub(super) async fn resend(
    State(efi): State<Arc<Efi>>,
    Account(account): Account,
    Sent(body): Sent,
) -> Result<StatusCode, ApiError> {
    let ids = body.get("e2eids").and_then(Value::as_array);
    let ids = ids.ok_or_else(|| ApiError::missing(KIND, "e2eids"))?;
    let ids = ids.iter().filter_map(Value::as_str);
    match body["tipo"].as_str() {
        Some("PIX_RECEBIDO") => {
            let pix = mine(&efi, &account, ids, |_| true)?;
            efi.notify_once(&bare(pix), "pix");
        }
        Some("DEVOLUCAO_ENVIADA") => {
            let pix = mine(&efi, &account, ids, |pix| !pix.returns.is_empty())?;
            efi.notify_once(&pix, "devolucao");
        }
        Some("PIX_ENVIADO") => {
            let sent: Vec<_> = ids
                .map(|id| lock(&efi.state).sends.get(id).cloned())
                .map(|sent| {
                    sent.filter(|sent| sent.account == account)
                        .ok_or_else(no_pix)
                })
                .collect::<Result<_, _>>()?;
            for one in sent {
                efi.send((&one.account, &one.key), &[one.reported], ("envio", &[]));
            }
        }
        // a Pix that the simulated account sends is never returned
        Some("DEVOLUCAO_RECEBIDA") => return Err(no_pix()),
        _ => return Err(ApiError::invalid(KIND, "tipo")),
    }
    Ok(StatusCode::ACCEPTED)
}

/// Returns the Pix without refunds, as in their first notification.
fn bare(pix: Vec<Pix>) -> Vec<Pix> {
    let without = |pix: Pix| Pix {
        returns: Vec::new(),
        ..pix
    };
    pix.into_iter().map(without).collect()
}

fn mine<'a>(
    efi: &Efi,
    account: &str,
    ids: impl Iterator<Item = &'a str>,
    is_meant: impl Fn(&Pix) -> bool,
) -> Result<Vec<Pix>, ApiError> {
    let (state, now) = (lock(&efi.state), efi.sim.now());
    ids.map(|id| {
        let pix = state.pix.get(id).filter(|pix| pix.account == account);
        let pix = pix.filter(|pix| is_meant(pix)).ok_or_else(no_pix)?;
        if now - pix.at > MAX_AGE {
            return Err(ApiError::invalid(KIND, "e2eids"));
        }
        Ok(pix.clone())
    })
    .collect()
}
