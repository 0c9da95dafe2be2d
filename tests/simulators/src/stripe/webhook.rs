//! Webhook endpoints that receive events.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    Stripe,
    account::Account,
    call::{Answer, Call},
    collection::Resource,
    errors::ApiError,
    form::Form,
    list as lists,
};

const MAX_ENDPOINTS: usize = 16;
const CREATE: [&str; 6] = [
    "url",
    "enabled_events[]",
    "api_version",
    "description",
    "metadata[*]",
    "connect",
];
const CHANGE: [&str; 5] = [
    "url",
    "enabled_events[]",
    "description",
    "metadata[*]",
    "disabled",
];

#[derive(Clone)]
pub(super) struct Endpoint {
    account: Account,
    id: String,
    created_at: DateTime<Utc>,
    pub url: String,
    events: Vec<String>,
    pub api_version: Option<String>,
    description: Option<String>,
    metadata: Map<String, Value>,
    disabled: bool,
    pub secret: String,
}

impl Resource for Endpoint {
    const NAME: &'static str = "webhook endpoint";
    const PARAM: &'static str = "webhook_endpoint";

    fn id(&self) -> &str {
        &self.id
    }

    fn account(&self) -> &Account {
        &self.account
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }
}

impl Endpoint {
    pub(super) fn receives(&self, kind: &str) -> bool {
        !self.disabled
            && self
                .events
                .iter()
                .any(|wanted| wanted == kind || wanted == "*")
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "webhook_endpoint", "api_version": self.api_version, "application": null,
            "created": self.created_at.timestamp(), "description": self.description, "enabled_events": self.events,
            "livemode": self.account.live, "metadata": self.metadata,
            "status": if self.disabled { "disabled" } else { "enabled" }, "url": self.url,
        })
    }
}

/// Handles `POST /v1/webhook_endpoints`: the only response that contains the secret.
pub(super) async fn create(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    const SECRET: usize = 32;
    call.only(&[&CREATE])?;
    let (form, account) = (&call.form, &call.account);
    let mut tx = stripe.begin(call.cause.clone());
    form.need("url")?;
    let url = address(form)?.unwrap_or_default();
    let events = events(form);
    if events.is_empty() {
        return Err(ApiError::missing("enabled_events"));
    }
    if tx.state.endpoints.of(account).count() >= MAX_ENDPOINTS {
        let mode = if account.live { "live" } else { "test" };
        let message =
            format!("You have reached the maximum of {MAX_ENDPOINTS} {mode} webhook endpoints.");
        return Err(ApiError::state(None, message));
    }
    let endpoint = Endpoint {
        account: account.clone(),
        id: tx.id("we"),
        created_at: tx.now,
        url,
        events,
        api_version: form.text("api_version"),
        description: form.text("description"),
        metadata: form.metadata("metadata")?,
        disabled: false,
        secret: format!("whsec_{}", tx.sim.random(SECRET)),
    };
    let mut json = endpoint.json();
    json["secret"] = endpoint.secret.clone().into();
    tx.state.endpoints.put(endpoint);
    call.answer(&tx, json)
}

fn events(form: &Form) -> Vec<String> {
    form.list("enabled_events")
        .into_iter()
        .map(ToOwned::to_owned)
        .collect()
}

fn address(form: &Form) -> Result<Option<String>, ApiError> {
    let Some(text) = form.get("url") else {
        return Ok(None);
    };
    match Url::parse(text) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) => Ok(Some(text.to_owned())),
        _ => {
            let message = "Invalid URL: An explicit scheme (such as https) must be provided.";
            Err(ApiError::invalid(Some("url_invalid"), "url", message))
        }
    }
}

/// Handles `GET /v1/webhook_endpoints`.
pub(super) async fn list(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[&lists::KNOWN])?;
    let tx = stripe.begin(call.cause.clone());
    let url = "/v1/webhook_endpoints";
    let page = lists::page(&call, &tx.state.endpoints, url, |_| true, Endpoint::json)?;
    call.answer(&tx, page)
}

/// Handles `GET /v1/webhook_endpoints/{id}`.
pub(super) async fn retrieve(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[])?;
    let tx = stripe.begin(call.cause.clone());
    let endpoint = tx.state.endpoints.get(&call.account, &id)?;
    call.answer(&tx, endpoint.json())
}

/// Handles `POST /v1/webhook_endpoints/{id}`.
pub(super) async fn change(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[&CHANGE])?;
    let form = &call.form;
    let (url, metadata) = (address(form)?, form.metadata("metadata")?);
    let mut tx = stripe.begin(call.cause.clone());
    let endpoint = tx.state.endpoints.get_mut(&call.account, &id)?;
    endpoint.url = url.unwrap_or_else(|| endpoint.url.clone());
    if form.has("enabled_events") {
        endpoint.events = events(form);
    }
    if form.has("disabled") {
        endpoint.disabled = form.truth("disabled")?;
    }
    if form.has("description") {
        endpoint.description = form.text("description");
    }
    endpoint.metadata.extend(metadata);
    let json = endpoint.json();
    call.answer(&tx, json)
}

/// Handles `DELETE /v1/webhook_endpoints/{id}`.
pub(super) async fn remove(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[])?;
    let mut tx = stripe.begin(call.cause.clone());
    tx.state.endpoints.get(&call.account, &id)?;
    tx.state.endpoints.remove(&id);
    call.answer(
        &tx,
        json!({ "id": id, "object": "webhook_endpoint", "deleted": true }),
    )
}
