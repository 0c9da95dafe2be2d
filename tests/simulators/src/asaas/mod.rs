//! Asaas: customers, payments, Pix codes. `GATEWAYS.md` §4.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Body,
    extract::FromRequestParts,
    http::{HeaderValue, Response, StatusCode, request::Parts},
    middleware,
    response::IntoResponse,
    routing::{get, post},
};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::America::Sao_Paulo;
use serde_json::{Number, Value, json};
use tokio::sync::Mutex as OrderLock;

use crate::{
    control::{Action, Book, Held},
    notify::{self, Proof, Telling},
    sim::{Sim, decimal, lock},
};

mod account;
mod customer;
mod payment;
mod webhook;

/// After these many seconds each; then the queue is interrupted.
const SCHEDULE_S: [u64; 14] = [
    0, 30, 60, 210, 300, 900, 1_500, 3_600, 3_600, 3_600, 3_600, 3_600, 7_200, 7_200,
];
/// What Asaas keeps of a Pix, in centavos.
const FEE: i64 = 199;

pub(crate) struct Asaas {
    pub sim: Arc<Sim>,
    pub state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub customers: BTreeMap<String, Customer>,
    pub payments: BTreeMap<String, Payment>,
    /// In the order of their making.
    pub order: Vec<String>,
    pub webhooks: BTreeMap<String, Webhook>,
    pub made: u64,
}

#[derive(Clone)]
pub(crate) struct Customer {
    pub account: String,
    pub id: String,
    pub sent: serde_json::Map<String, Value>,
}

#[derive(Clone)]
pub(crate) struct Payment {
    pub account: String,
    pub id: String,
    pub number: u64,
    pub customer: String,
    pub amount: i64,
    pub due: NaiveDate,
    pub description: Option<String>,
    pub reference: Option<String>,
    pub status: &'static str,
    pub deleted: bool,
    pub created_at: DateTime<Utc>,
    pub paid_at: Option<DateTime<Utc>>,
    pub location: String,
    pub service_us: u64,
}

#[derive(Clone)]
pub(crate) struct Webhook {
    pub account: String,
    pub id: String,
    pub sent: serde_json::Map<String, Value>,
    /// Events go out one after the other.
    pub order: Arc<OrderLock<()>>,
}

/// An error in Asaas's shape.
pub(crate) fn wrong(status: StatusCode, code: &str, description: &str) -> Response<Body> {
    (
        status,
        Json(json!({ "errors": [{ "code": code, "description": description }] })),
    )
        .into_response()
}

/// Absent: an empty body.
pub(crate) fn absent() -> Response<Body> {
    StatusCode::NOT_FOUND.into_response()
}

pub(crate) fn router(asaas: Arc<Asaas>) -> Router {
    Router::new()
        .route("/v3/customers", post(customer::create).get(customer::list))
        .route("/v3/customers/{id}", get(customer::read))
        .route("/v3/payments", post(payment::create).get(payment::list))
        .route(
            "/v3/payments/{id}",
            get(payment::read).delete(payment::delete),
        )
        .route("/v3/payments/{id}/status", get(payment::status))
        .route("/v3/payments/{id}/pixQrCode", get(payment::code))
        .route("/v3/sandbox/payment/{id}/confirm", post(payment::confirm))
        .route("/v3/webhooks", post(webhook::create).get(webhook::list))
        .route(
            "/v3/webhooks/{id}",
            get(webhook::read)
                .put(webhook::change)
                .delete(webhook::remove),
        )
        .route("/v3/finance/balance", get(account::balance))
        .route("/v3/myAccount", get(account::account))
        .layer(middleware::map_response(
            |mut response: Response<Body>| async move {
                for (name, value) in [
                    ("ratelimit-limit", "100"),
                    ("ratelimit-remaining", "99"),
                    ("ratelimit-reset", "60"),
                ] {
                    response
                        .headers_mut()
                        .insert(name, HeaderValue::from_static(value));
                }
                response
            },
        ))
        .with_state(asaas)
}

/// The account of a request's `access_token`.
pub(crate) struct Account(pub String);

impl FromRequestParts<Arc<Asaas>> for Account {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Asaas>) -> Result<Self, Response<Body>> {
        let refused = |code, description| Err(wrong(StatusCode::UNAUTHORIZED, code, description));
        let Some(key) = parts
            .headers
            .get("access_token")
            .and_then(|value| value.to_str().ok())
        else {
            let description = "O cabeçalho de autenticação 'access_token' é obrigatório e não foi encontrado na requisição";
            return refused("access_token_not_found", description);
        };
        let account = key
            .strip_prefix("$aact_hmlg_")
            .or_else(|| key.strip_prefix("$aact_prod_"));
        match account {
            None | Some("") => refused(
                "invalid_access_token_format",
                "O formato da chave de API é inválido",
            ),
            Some(account) if account.contains("revoked") => refused(
                "invalid_access_token",
                "A chave de API fornecida é inválida",
            ),
            Some(account) => Ok(Self(account.to_owned())),
        }
    }
}

/// Reais as a JSON number, whole ones without a point.
pub(crate) fn reais(amount: i64) -> Value {
    if amount % 100 == 0 {
        return (amount / 100).into();
    }
    decimal(amount)
        .parse::<Number>()
        .map_or(Value::Null, Value::Number)
}

pub(crate) fn day(at: DateTime<Utc>) -> String {
    at.with_timezone(&Sao_Paulo).format("%Y-%m-%d").to_string()
}

impl Asaas {
    pub(crate) fn new(sim: Arc<Sim>) -> Self {
        Self {
            sim,
            state: Mutex::default(),
        }
    }

    /// Tells every address of the account that wants it, one event after the other.
    pub(crate) fn tell(&self, event: &str, payment: &Payment) {
        let body = json!({
            "id": format!("evt_{}&{}", self.sim.random(32), payment.number), "event": event,
            "dateCreated": self.sim.now().with_timezone(&Sao_Paulo).format("%Y-%m-%d %H:%M:%S").to_string(),
            "account": { "id": payment.account, "ownerId": null },
            "payment": payment.json(),
        });
        let webhooks: Vec<_> = lock(&self.state).webhooks.values().cloned().collect();
        for webhook in webhooks
            .into_iter()
            .filter(|webhook| webhook.account == payment.account && webhook.wants(event))
        {
            let token = webhook
                .sent
                .get("authToken")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            let telling = Telling {
                url: webhook
                    .sent
                    .get("url")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                event: event.to_owned(),
                body: body.to_string(),
                proof: Proof::Header("asaas-access-token", token),
                schedule_s: &SCHEDULE_S,
                exactly_200: true,
                order: Some(webhook.order.clone()),
            };
            notify::tell(&self.sim, telling);
        }
    }

    pub(crate) fn expect_payment(self: &Arc<Self>, id: &str) {
        if let Some(after_ms) = self.sim.settings().auto_pay_ms {
            let (asaas, id) = (self.clone(), id.to_owned());
            self.sim.later(after_ms, async move {
                let _ = asaas.act(&id, Action::Pay(None), true);
            });
        }
    }
}

impl Webhook {
    fn wants(&self, event: &str) -> bool {
        let on = self.sent.get("enabled") == Some(&Value::Bool(true))
            && self.sent.get("interrupted") != Some(&Value::Bool(true));
        let events = self.sent.get("events").and_then(Value::as_array);
        on && events.is_some_and(|events| events.iter().any(|wanted| wanted == event))
    }
}

impl Payment {
    fn is_payable(&self) -> bool {
        !self.deleted && matches!(self.status, "PENDING" | "OVERDUE")
    }

    pub(crate) fn json(&self) -> Value {
        let paid_on = self.paid_at.map(day);
        let short = self.id.trim_start_matches("pay_");
        json!({
            "object": "payment", "id": self.id, "dateCreated": day(self.created_at), "customer": self.customer,
            "checkoutSession": null, "paymentLink": null, "value": reais(self.amount), "netValue": reais(self.amount - FEE),
            "originalValue": null, "interestValue": null, "description": self.description, "billingType": "PIX",
            "confirmedDate": paid_on, "pixTransaction": paid_on.as_ref().map(|_| format!("pix-{short}")), "status": self.status,
            "dueDate": self.due.to_string(), "originalDueDate": self.due.to_string(), "paymentDate": paid_on,
            "clientPaymentDate": paid_on, "installmentNumber": null, "invoiceUrl": format!("https://sandbox.asaas.com/i/{short}"),
            "invoiceNumber": self.number.to_string(), "externalReference": self.reference, "deleted": self.deleted,
            "anticipated": false, "anticipable": false, "creditDate": paid_on, "estimatedCreditDate": paid_on,
            "transactionReceiptUrl": null, "nossoNumero": null, "bankSlipUrl": null, "lastInvoiceViewedDate": null,
            "lastBankSlipViewedDate": null,
            "discount": { "value": 0, "limitDate": null, "dueDateLimitDays": 0, "type": "FIXED" },
            "fine": { "value": 0, "type": "FIXED" }, "interest": { "value": 0, "type": "PERCENTAGE" },
            "postalService": false, "escrow": null, "refunds": null,
        })
    }
}

impl Book for Asaas {
    fn sim(&self) -> &Arc<Sim> {
        &self.sim
    }

    fn charges(&self) -> Vec<Held> {
        let state = lock(&self.state);
        let held = state.payments.values().map(|payment| Held {
            id: payment.id.clone(),
            reference: payment.reference.clone().unwrap_or_default(),
            description: payment.description.clone().unwrap_or_default(),
            method: "pix",
            status: if payment.deleted {
                "DELETED"
            } else {
                payment.status
            }
            .to_owned(),
            amount: payment.amount,
            payable: payment.is_payable(),
            paid: payment.paid_at.is_some(),
            refunded: 0,
            disputed: false,
            created_at: payment.created_at,
            service_us: payment.service_us,
            account: payment.account.clone(),
        });
        held.collect()
    }

    fn act(&self, charge: &str, action: Action, notify: bool) -> Result<(), String> {
        let now = self.sim.now();
        let mut state = lock(&self.state);
        let found = state
            .payments
            .values_mut()
            .find(|p| p.id == charge || p.reference.as_deref() == Some(charge));
        let payment = found.ok_or("there is no such charge")?;
        let event = match action {
            Action::Pay(_) if payment.paid_at.is_some() => {
                return Err("it is paid already".to_owned());
            }
            Action::Pay(amount) => {
                payment.amount = amount.unwrap_or(payment.amount);
                payment.paid_at = Some(now);
                payment.status = "RECEIVED";
                payment.deleted = false;
                "PAYMENT_RECEIVED"
            }
            Action::Expire => {
                payment.status = "OVERDUE";
                "PAYMENT_OVERDUE"
            }
            Action::Cancel => {
                payment.deleted = true;
                "PAYMENT_DELETED"
            }
            other => return Err(format!("Asaas does not simulate {other:?}")),
        };
        let payment = payment.clone();
        drop(state);
        if notify {
            self.tell(event, &payment);
        }
        Ok(())
    }

    fn served(&self, reference: &str, us: u64) {
        let mut state = lock(&self.state);
        if let Some(payment) = state
            .payments
            .values_mut()
            .find(|payment| payment.reference.as_deref() == Some(reference))
        {
            payment.service_us += us;
        }
    }

    fn refusal(&self, status: StatusCode) -> Response<Body> {
        match status.as_u16() {
            401 => wrong(
                status,
                "invalid_access_token",
                "A chave de API fornecida é inválida",
            ),
            404 => absent(),
            400 => wrong(status, "invalid_value", "Falha injetada no simulador"),
            _ => status.into_response(),
        }
    }

    fn reset(&self) {
        *lock(&self.state) = State::default();
    }
}
