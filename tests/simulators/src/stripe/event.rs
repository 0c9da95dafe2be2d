//! Events, as sent and as listed.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{
    Stripe,
    account::Account,
    call::{Answer, Call},
    collection::Resource,
    list,
};

/// Time for which events are listed.
const LISTED: TimeDelta = TimeDelta::days(30);

pub(super) struct Event {
    account: Account,
    id: String,
    created_at: DateTime<Utc>,
    kind: String,
    /// Event as JSON text, because an event never changes and many are stored.
    text: String,
}

impl Resource for Event {
    const NAME: &'static str = "event";
    const PARAM: &'static str = "id";

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

impl Event {
    pub(super) fn new(account: Account, created_at: DateTime<Utc>, event: &Value) -> Self {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        Self {
            account,
            id: text("id"),
            created_at,
            kind: text("type"),
            text: event.to_string(),
        }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// Handles `GET /v1/events/{id}`.
pub(super) async fn read(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[])?;
    let tx = stripe.begin(call.cause.clone());
    let event = tx.state.events.get(&call.account, &id)?;
    call.answer(&tx, event.json())
}

/// Handles `GET /v1/events`: returns the events of 30 days, newest first.
pub(super) async fn list(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[&list::KNOWN, &["type", "types[]", "delivery_success"]])?;
    let tx = stripe.begin(call.cause.clone());
    let oldest = tx.now - LISTED;
    let types = call.form.list("types");
    let kind = call.form.get("type");
    let wanted = |event: &Event| {
        event.created_at >= oldest
            && kind.is_none_or(|kind| is_kind(&event.kind, kind))
            && (types.is_empty() || types.iter().any(|kind| is_kind(&event.kind, kind)))
    };
    let page = list::page(&call, &tx.state.events, "/v1/events", wanted, Event::json)?;
    call.answer(&tx, page)
}

/// Returns true if the event type matches. `charge.*` matches every type with that prefix.
fn is_kind(kind: &str, wanted: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(prefix) => kind.starts_with(prefix),
        None => kind == wanted,
    }
}
