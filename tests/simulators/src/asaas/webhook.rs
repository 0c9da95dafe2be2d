//! Webhooks: the addresses that receive events.

use std::{collections::VecDeque, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{Response, StatusCode},
    response::IntoResponse,
};
use serde_json::{Map, Value, json};

use super::{
    Asaas,
    answer::{Answer, Refusal, Sent, ok, page, text},
    event,
    limits::Account,
    queue::Waiting,
};
use crate::sim::lock;

const MAX_WEBHOOKS: usize = 10;

pub(super) struct Webhook {
    pub account: String,
    pub id: String,
    pub sent: Map<String, Value>,
    pub queue: VecDeque<Waiting>,
    /// Number of consecutive failures.
    pub failures: usize,
}

impl Webhook {
    pub(super) fn is(&self, switch: &str) -> bool {
        self.sent.get(switch) == Some(&Value::Bool(true))
    }

    pub(super) fn is_sequential(&self) -> bool {
        text(&self.sent, "sendType").as_deref() != Some("NON_SEQUENTIALLY")
    }

    fn json(&self) -> Value {
        let sent = |name: &str| self.sent.get(name).cloned().unwrap_or_default();
        json!({
            "id": self.id, "name": sent("name"), "url": sent("url"), "email": sent("email"), "enabled": self.is("enabled"),
            "interrupted": self.is("interrupted"), "apiVersion": self.sent.get("apiVersion").cloned().unwrap_or(json!(3)),
            "hasAuthToken": text(&self.sent, "authToken").is_some(),
            "sendType": if self.is_sequential() { "SEQUENTIALLY" } else { "NON_SEQUENTIALLY" },
            "penalizedRequestsCount": self.failures, "events": sent("events"),
        })
    }
}

fn check(sent: &Map<String, Value>) -> Result<(), Refusal> {
    let wrong = |description| Err(Refusal::of("invalid_object", description));
    let is = |name: &str, right: &dyn Fn(&Value) -> bool| sent.get(name).is_none_or(right);
    if !is("url", &|url| url.as_str().is_some_and(super::is_url)) {
        return wrong("A URL informada é inválida.");
    }
    let order = |word: &Value| word == "SEQUENTIALLY" || word == "NON_SEQUENTIALLY";
    if !is("sendType", &order) {
        return wrong("O campo sendType é inválido.");
    }
    let known = |event: &Value| event.as_str().is_some_and(event::is_known);
    let events = |events: &Value| events.as_array().is_some_and(|all| all.iter().all(known));
    if !is("events", &events) {
        return wrong("O campo events é inválido.");
    }
    Ok(())
}

/// Handles `POST /v3/webhooks`.
pub(super) async fn create(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Sent(sent): Sent,
) -> Answer {
    if !sent.contains_key("url") {
        return Err(Refusal::of("invalid_object", "A URL informada é inválida."));
    }
    check(&sent)?;
    let id = super::uuid(&asaas.sim);
    let mut state = lock(&asaas.state);
    let mine = state.webhooks.values();
    if mine.filter(|webhook| webhook.account == account).count() >= MAX_WEBHOOKS {
        return Err(Refusal::action("O limite de webhooks foi atingido."));
    }
    let webhook = Webhook {
        account,
        id: id.clone(),
        sent,
        queue: VecDeque::new(),
        failures: 0,
    };
    let json = webhook.json();
    state.webhooks.insert(id, webhook);
    Ok(ok(json))
}

/// Handles `GET /v3/webhooks`.
pub(super) async fn list(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let state = lock(&asaas.state);
    let mine = state.webhooks.values();
    let found: Vec<_> = mine.filter(|webhook| webhook.account == account).collect();
    Ok(ok(page(&query, &found, |webhook| webhook.json())))
}

/// Handles `GET /v3/webhooks/{id}`.
pub(super) async fn read(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    asaas
        .on_webhook(&account, &id, |webhook| Ok(webhook.json()))
        .map(ok)
}

/// Handles `PUT /v3/webhooks/{id}`. Fields that the request does not name remain; `{"interrupted":false}` resumes the queue.
pub(super) async fn change(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
    Sent(sent): Sent,
) -> Answer {
    let now = asaas.sim.now();
    let json = asaas.on_webhook(&account, &id, |webhook| {
        check(&sent)?;
        let was = webhook.is("interrupted");
        webhook.sent.extend(sent);
        if was && !webhook.is("interrupted") {
            webhook.forgive(now);
        }
        asaas.readdress(webhook);
        Ok(webhook.json())
    })?;
    asaas.wake.notify_one();
    Ok(ok(json))
}

/// Handles `POST /v3/webhooks/{id}/removeBackoff`: retries at once.
pub(super) async fn remove_backoff(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Result<Response<Body>, Refusal> {
    let now = asaas.sim.now();
    asaas.on_webhook(&account, &id, |webhook| {
        webhook.forgive(now);
        Ok(())
    })?;
    asaas.wake.notify_one();
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Handles `DELETE /v3/webhooks/{id}`.
pub(super) async fn remove(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    asaas.on_webhook(&account, &id, |_| Ok(()))?;
    lock(&asaas.state).webhooks.remove(&id);
    Ok(ok(json!({ "deleted": true, "id": id })))
}

impl Asaas {
    fn on_webhook<T>(
        &self,
        account: &str,
        id: &str,
        what: impl FnOnce(&mut Webhook) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut state = lock(&self.state);
        let found = state.webhooks.get_mut(id);
        let mine = found.filter(|webhook| webhook.account == account);
        what(mine.ok_or(Refusal::Absent)?)
    }
}
