//! Stripe's `PaymentIntent`s with Pix. `GATEWAYS.md` §3.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Body,
    http::{HeaderValue, Response, StatusCode},
    middleware,
    response::IntoResponse,
    routing::{get, post},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{
    control::{Action, Book, Held},
    notify::{self, Proof, Telling},
    sim::{Sim, decimal, lock},
};

mod account;
mod form;
mod idempotency;
mod intent;
mod webhook;

const VERSION: &str = "2026-10-28.endive";
/// Live mode: up to three days, with growing pauses.
const SCHEDULE_S: [u64; 8] = [5, 30, 300, 1_800, 7_200, 28_800, 86_400, 86_400];
/// What Stripe keeps of a Pix, in basis points.
const FEE_BPS: i64 = 119;

pub(crate) struct Stripe {
    pub sim: Arc<Sim>,
    pub state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub intents: BTreeMap<String, Intent>,
    /// In the order of their making.
    pub order: Vec<String>,
    pub endpoints: BTreeMap<String, Endpoint>,
    /// By account and key.
    pub keys: HashMap<(String, String), idempotency::Stored>,
}

#[derive(Clone)]
pub(crate) struct Intent {
    pub account: String,
    pub live: bool,
    pub id: String,
    pub created_at: DateTime<Utc>,
    pub amount: i64,
    pub status: &'static str,
    pub description: Option<String>,
    pub metadata: serde_json::Map<String, Value>,
    pub expires_after_s: i64,
    pub payment_method: String,
    pub secret: String,
    pub location: String,
    pub cancellation_reason: Option<String>,
    pub canceled_at: Option<DateTime<Utc>>,
    pub expired: bool,
    pub paid: Option<Paid>,
    pub service_us: u64,
}

#[derive(Clone)]
pub(crate) struct Paid {
    pub charge: String,
    pub amount: i64,
    pub at: DateTime<Utc>,
    pub end_to_end_id: String,
    pub booking: String,
}

#[derive(Clone)]
pub(crate) struct Endpoint {
    pub account: String,
    pub live: bool,
    pub id: String,
    pub url: String,
    pub events: Vec<String>,
    pub api_version: Option<String>,
    pub secret: String,
    pub created_at: DateTime<Utc>,
}

/// An error in Stripe's shape.
pub(crate) fn wrong(
    status: StatusCode,
    kind: &str,
    code: Option<&str>,
    param: Option<&str>,
) -> Response<Body> {
    let message = match (code, param) {
        (Some(code), Some(param)) => format!("{code}: {param}"),
        (Some(code), None) => code.to_owned(),
        _ => "The request could not be completed.".to_owned(),
    };
    let mut error = json!({ "type": kind, "message": message });
    if let Some(code) = code {
        error["code"] = code.into();
        error["doc_url"] = format!(
            "https://stripe.com/docs/error-codes/{}",
            code.replace('_', "-")
        )
        .into();
    }
    if let Some(param) = param {
        error["param"] = param.into();
    }
    (status, Json(json!({ "error": error }))).into_response()
}

pub(crate) fn router(stripe: Arc<Stripe>) -> Router {
    let stamp = stripe.clone();
    Router::new()
        .route(
            "/v1/payment_intents",
            post(intent::create).get(intent::list),
        )
        .route("/v1/payment_intents/{id}", get(intent::read))
        .route("/v1/payment_intents/{id}/cancel", post(intent::cancel))
        .route("/v1/charges/{id}", get(intent::charge))
        .route("/v1/balance", get(account::balance))
        .route("/v1/account", get(account::account))
        .route(
            "/v1/webhook_endpoints",
            post(webhook::create).get(webhook::list),
        )
        .route(
            "/v1/webhook_endpoints/{id}",
            get(webhook::read).delete(webhook::remove),
        )
        .layer(middleware::map_response(
            move |mut response: Response<Body>| {
                let id = format!("req_{}", stamp.sim.random(14));
                async move {
                    if let Ok(id) = HeaderValue::from_str(&id) {
                        response.headers_mut().insert("request-id", id);
                    }
                    response
                        .headers_mut()
                        .insert("stripe-version", HeaderValue::from_static(VERSION));
                    response
                }
            },
        ))
        .with_state(stripe)
}

impl Stripe {
    pub(crate) fn new(sim: Arc<Sim>) -> Self {
        Self {
            sim,
            state: Mutex::default(),
        }
    }

    /// Tells every endpoint of the account that listens for it.
    pub(crate) fn tell(&self, kind: &str, intent: &Intent, object: &Value) {
        let event = json!({
            "id": format!("evt_{}", self.sim.random(24)), "object": "event", "api_version": VERSION,
            "created": self.sim.now().timestamp(), "livemode": intent.live, "pending_webhooks": 1,
            "request": { "id": null, "idempotency_key": null }, "type": kind, "data": { "object": object },
        });
        let endpoints: Vec<_> = lock(&self.state).endpoints.values().cloned().collect();
        let listening = endpoints.into_iter().filter(|endpoint| {
            endpoint.account == intent.account
                && endpoint.live == intent.live
                && endpoint
                    .events
                    .iter()
                    .any(|wanted| wanted == kind || wanted == "*")
        });
        for endpoint in listening {
            let telling = Telling {
                url: endpoint.url,
                event: kind.to_owned(),
                body: event.to_string(),
                proof: Proof::Stripe(endpoint.secret),
                schedule_s: &SCHEDULE_S,
                exactly_200: false,
                order: None,
            };
            notify::tell(&self.sim, telling);
        }
    }

    pub(crate) fn expect_payment(self: &Arc<Self>, id: &str) {
        if let Some(after_ms) = self.sim.settings().auto_pay_ms {
            let (stripe, id) = (self.clone(), id.to_owned());
            self.sim.later(after_ms, async move {
                let _ = stripe.act(&id, Action::Pay(None), true);
            });
        }
    }
}

impl Intent {
    pub(crate) fn expires_at(&self) -> DateTime<Utc> {
        self.created_at + TimeDelta::seconds(self.expires_after_s)
    }

    pub(crate) fn reference(&self) -> &str {
        self.metadata
            .get("reference")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Lets the time do its work: a code that nobody paid leaves the intent confirmable.
    pub(crate) fn settle(&mut self, now: DateTime<Utc>) {
        if self.status == "requires_action" && self.expires_at() <= now {
            self.status = "requires_payment_method";
            self.expired = true;
        }
    }

    pub(crate) fn json(&self, expand_charge: bool, expand_booking: bool) -> Value {
        let code = crate::br_code::dynamic(&self.location, &decimal(self.amount));
        let next_action = (self.status == "requires_action").then(|| {
            json!({
                "type": "pix_display_qr_code",
                "pix_display_qr_code": {
                    "data": code, "expires_at": self.expires_at().timestamp(),
                    "hosted_instructions_url": format!("https://payments.stripe.com/qr/instructions/{}", self.id),
                    "image_url_png": format!("https://qr.stripe.com/{}.png", self.id),
                    "image_url_svg": format!("https://qr.stripe.com/{}.svg", self.id),
                },
            })
        });
        let error = self.expired.then(|| {
            json!({ "type": "card_error", "code": "payment_intent_payment_attempt_expired", "message": "The payment attempt expired." })
        });
        let latest_charge = match &self.paid {
            Some(_) if expand_charge => self.charge_json(expand_booking),
            Some(paid) => paid.charge.clone().into(),
            None => Value::Null,
        };
        json!({
            "id": self.id, "object": "payment_intent", "amount": self.amount, "amount_capturable": 0,
            "amount_received": self.paid.as_ref().map_or(0, |paid| paid.amount), "capture_method": "automatic",
            "confirmation_method": "automatic", "created": self.created_at.timestamp(), "currency": "brl",
            "client_secret": self.secret, "description": self.description, "livemode": self.live, "metadata": self.metadata,
            "latest_charge": latest_charge, "payment_method": self.payment_method, "payment_method_types": ["pix"],
            "payment_method_options": { "pix": { "expires_after_seconds": self.expires_after_s } },
            "status": self.status, "last_payment_error": error, "next_action": next_action,
            "canceled_at": self.canceled_at.map(|at| at.timestamp()), "cancellation_reason": self.cancellation_reason,
        })
    }

    pub(crate) fn charge_json(&self, expand_booking: bool) -> Value {
        let Some(paid) = &self.paid else {
            return Value::Null;
        };
        let fee = paid.amount * FEE_BPS / 10_000;
        let booking = if expand_booking {
            json!({
                "id": paid.booking, "object": "balance_transaction", "amount": paid.amount, "fee": fee, "net": paid.amount - fee,
                "currency": "brl", "created": paid.at.timestamp(), "type": "charge", "status": "pending",
            })
        } else {
            paid.booking.clone().into()
        };
        json!({
            "id": paid.charge, "object": "charge", "amount": paid.amount, "amount_captured": paid.amount, "amount_refunded": 0,
            "balance_transaction": booking, "billing_details": { "address": null, "email": null, "name": null, "phone": null },
            "captured": true, "created": paid.at.timestamp(), "currency": "brl", "disputed": false, "livemode": self.live,
            "metadata": self.metadata, "paid": true, "payment_intent": self.id, "refunded": false, "status": "succeeded",
            "payment_method_details": { "type": "pix", "pix": { "bank_transaction_id": paid.end_to_end_id } },
        })
    }
}

impl Book for Stripe {
    fn sim(&self) -> &Arc<Sim> {
        &self.sim
    }

    fn charges(&self) -> Vec<Held> {
        let now = self.sim.now();
        let mut state = lock(&self.state);
        let held = state.intents.values_mut().map(|intent| {
            intent.settle(now);
            Held {
                id: intent.id.clone(),
                reference: intent.reference().to_owned(),
                description: intent.description.clone().unwrap_or_default(),
                method: "pix",
                status: intent.status.to_owned(),
                amount: intent.amount,
                payable: intent.status == "requires_action",
                paid: intent.paid.is_some(),
                refunded: 0,
                disputed: false,
                created_at: intent.created_at,
                service_us: intent.service_us,
                account: intent.account.clone(),
            }
        });
        held.collect()
    }

    fn act(&self, charge: &str, action: Action, notify: bool) -> Result<(), String> {
        let now = self.sim.now();
        let paid = Paid {
            charge: format!("py_{}", self.sim.random(24)),
            amount: 0,
            at: now,
            end_to_end_id: format!(
                "E18236120{}{}",
                now.format("%Y%m%d%H%M"),
                self.sim.random(11)
            ),
            booking: format!("txn_{}", self.sim.random(24)),
        };
        let mut state = lock(&self.state);
        let found = state
            .intents
            .values_mut()
            .find(|intent| intent.id == charge || intent.reference() == charge);
        let intent = found.ok_or("there is no such charge")?;
        let kind = match action {
            Action::Pay(_) if intent.paid.is_some() => return Err("it is paid already".to_owned()),
            Action::Pay(amount) => {
                intent.paid = Some(Paid {
                    amount: amount.unwrap_or(intent.amount),
                    ..paid
                });
                intent.status = "succeeded";
                "payment_intent.succeeded"
            }
            Action::Expire => {
                intent.expires_after_s = (now - intent.created_at).num_seconds().max(0);
                intent.settle(now);
                "payment_intent.payment_failed"
            }
            Action::Cancel => {
                intent.status = "canceled";
                intent.canceled_at = Some(now);
                "payment_intent.canceled"
            }
            other => return Err(format!("Stripe does not simulate {other:?}")),
        };
        let intent = intent.clone();
        drop(state);
        if notify {
            if intent.paid.is_some() {
                self.tell("charge.succeeded", &intent, &intent.charge_json(false));
            }
            self.tell(kind, &intent, &intent.json(false, false));
        }
        Ok(())
    }

    fn served(&self, reference: &str, us: u64) {
        if let Some(intent) = lock(&self.state)
            .intents
            .values_mut()
            .find(|intent| intent.reference() == reference)
        {
            intent.service_us += us;
        }
    }

    fn refusal(&self, status: StatusCode) -> Response<Body> {
        let (kind, code) = match status.as_u16() {
            400 | 404 => ("invalid_request_error", Some("injected")),
            401 | 403 => ("invalid_request_error", None),
            429 => ("invalid_request_error", Some("rate_limit")),
            _ => ("api_error", None),
        };
        wrong(status, kind, code, None)
    }

    fn reset(&self) {
        *lock(&self.state) = State::default();
    }
}
