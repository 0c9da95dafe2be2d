//! Payment intents.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, RawQuery, State},
    http::{HeaderMap, Response, StatusCode},
    response::IntoResponse,
};
use serde_json::json;

use super::{Intent, Stripe, account::Account, form::Form, idempotency, wrong};
use crate::{listener::About, sim::lock};

const KNOWN: [&str; 20] = [
    "amount",
    "currency",
    "confirm",
    "payment_method",
    "payment_method_types",
    "payment_method_data",
    "payment_method_options",
    "metadata",
    "description",
    "customer",
    "expand",
    "receipt_email",
    "return_url",
    "capture_method",
    "confirmation_method",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "setup_future_usage",
    "shipping",
    "automatic_payment_methods",
];
/// Four hours.
const DEFAULT_EXPIRY_S: i64 = 14_400;
const MIN_AMOUNT: i64 = 50;

/// `POST /v1/payment_intents`.
pub(super) async fn create(
    State(stripe): State<Arc<Stripe>>,
    account: Account,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    if let Some(replayed) = idempotency::begin(&stripe, &account, &headers, &body) {
        return replayed;
    }
    let response = match made(&stripe, &account, &Form::read(&body)) {
        Ok(intent) => {
            lock(&stripe.state).order.push(intent.id.clone());
            lock(&stripe.state)
                .intents
                .insert(intent.id.clone(), intent.clone());
            stripe.tell(
                "payment_intent.created",
                &intent,
                &intent.json(false, false),
            );
            stripe.expect_payment(&intent.id);
            let mut response = Json(intent.json(false, false)).into_response();
            response
                .extensions_mut()
                .insert(About(intent.reference().to_owned()));
            response
        }
        Err(refused) => *refused,
    };
    idempotency::end(&stripe, &account, &headers, body, response).await
}

fn made(stripe: &Stripe, account: &Account, form: &Form) -> Result<Intent, Box<Response<Body>>> {
    let refused = |code: &str, param: &str| {
        Box::new(wrong(
            StatusCode::BAD_REQUEST,
            "invalid_request_error",
            Some(code),
            Some(param),
        ))
    };
    form.only(&KNOWN)?;
    let amount: i64 = form
        .need("amount")?
        .parse()
        .map_err(|_| refused("parameter_invalid_integer", "amount"))?;
    if amount < MIN_AMOUNT {
        return Err(refused("amount_too_small", "amount"));
    }
    if form.need("currency")? != "brl" {
        return Err(refused("invalid_currency", "currency"));
    }
    if form.list("payment_method_types") != ["pix"] || account.id.contains("no_pix") {
        return Err(refused(
            "payment_intent_invalid_parameter",
            "payment_method_types",
        ));
    }
    if form.get("payment_method_data[type]") != Some("pix") {
        return Err(refused("parameter_missing", "payment_method_data[type]"));
    }
    let expires_after_s = match form.get("payment_method_options[pix][expires_after_seconds]") {
        None => DEFAULT_EXPIRY_S,
        Some(text) => {
            let seconds = text
                .parse()
                .ok()
                .filter(|seconds| (60..=1_209_600).contains(seconds));
            seconds.ok_or_else(|| {
                refused(
                    "parameter_invalid_integer",
                    "payment_method_options[pix][expires_after_seconds]",
                )
            })?
        }
    };
    let id = format!("pi_{}", stripe.sim.random(24));
    Ok(Intent {
        account: account.id.clone(),
        live: account.live,
        created_at: stripe.sim.now(),
        amount,
        status: if form.get("confirm") == Some("true") {
            "requires_action"
        } else {
            "requires_confirmation"
        },
        description: form.get("description").map(ToOwned::to_owned),
        metadata: form.map("metadata"),
        expires_after_s,
        payment_method: format!("pm_{}", stripe.sim.random(24)),
        secret: format!("{id}_secret_{}", stripe.sim.random(25)),
        location: format!("qr.stripe.com/pix/v2/{}", stripe.sim.random(32)),
        id,
        cancellation_reason: None,
        canceled_at: None,
        expired: false,
        paid: None,
        service_us: 0,
    })
}

fn absent(id: &str) -> Response<Body> {
    let _ = id;
    wrong(
        StatusCode::NOT_FOUND,
        "invalid_request_error",
        Some("resource_missing"),
        Some("intent"),
    )
}

/// What `expand[]` asks for: the charge, and what was booked for it.
fn expanded(query: Option<&str>, prefix: &str) -> (bool, bool) {
    let query = Form::read(query.unwrap_or_default().as_bytes());
    let wanted = query.list("expand");
    let charge = format!("{prefix}latest_charge");
    let booking = format!("{charge}.balance_transaction");
    let has_booking = wanted.contains(&booking.as_str());
    (
        has_booking || wanted.contains(&charge.as_str()),
        has_booking,
    )
}

/// `GET /v1/payment_intents/{id}`.
pub(super) async fn read(
    State(stripe): State<Arc<Stripe>>,
    account: Account,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let (charge, booking) = expanded(query.as_deref(), "");
    let now = stripe.sim.now();
    let mut state = lock(&stripe.state);
    match state
        .intents
        .get_mut(&id)
        .filter(|intent| intent.account == account.id && intent.live == account.live)
    {
        Some(intent) => {
            intent.settle(now);
            Json(intent.json(charge, booking)).into_response()
        }
        None => absent(&id),
    }
}

/// `GET /v1/payment_intents`: newest first.
pub(super) async fn list(
    State(stripe): State<Arc<Stripe>>,
    account: Account,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let (charge, booking) = expanded(query.as_deref(), "data.");
    let form = Form::read(query.unwrap_or_default().as_bytes());
    let number = |name: &str| form.get(name).and_then(|text| text.parse::<i64>().ok());
    let since = number("created[gte]").unwrap_or(0);
    let limit = usize::try_from(number("limit").unwrap_or(10).clamp(1, 100)).unwrap_or(10);
    let now = stripe.sim.now();
    let mut state = lock(&stripe.state);
    let order = state.order.clone();
    let newest = order.iter().rev().skip_while(|id| {
        form.get("starting_after")
            .is_some_and(|after| after != id.as_str())
    });
    let newest = newest.skip(usize::from(form.get("starting_after").is_some()));
    let mut found = Vec::new();
    for id in newest {
        let Some(intent) = state.intents.get_mut(id) else {
            continue;
        };
        if intent.account == account.id
            && intent.live == account.live
            && intent.created_at.timestamp() >= since
        {
            intent.settle(now);
            found.push(intent.json(charge, booking));
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    Json(json!({ "object": "list", "url": "/v1/payment_intents", "has_more": more, "data": found }))
        .into_response()
}

/// `POST /v1/payment_intents/{id}/cancel`.
pub(super) async fn cancel(
    State(stripe): State<Arc<Stripe>>,
    account: Account,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    if let Some(replayed) = idempotency::begin(&stripe, &account, &headers, &body) {
        return replayed;
    }
    let response =
        canceled(&stripe, &account, &id, &Form::read(&body)).unwrap_or_else(|refused| *refused);
    idempotency::end(&stripe, &account, &headers, body, response).await
}

fn canceled(
    stripe: &Stripe,
    account: &Account,
    id: &str,
    form: &Form,
) -> Result<Response<Body>, Box<Response<Body>>> {
    form.only(&["cancellation_reason", "expand"])?;
    let now = stripe.sim.now();
    let mut state = lock(&stripe.state);
    let found = state
        .intents
        .get_mut(id)
        .filter(|intent| intent.account == account.id && intent.live == account.live);
    let intent = found.ok_or_else(|| Box::new(absent(id)))?;
    intent.settle(now);
    if !intent.status.starts_with("requires_") {
        let code = Some("payment_intent_unexpected_state");
        return Err(Box::new(wrong(
            StatusCode::BAD_REQUEST,
            "invalid_request_error",
            code,
            None,
        )));
    }
    intent.status = "canceled";
    intent.canceled_at = Some(now);
    intent.cancellation_reason = form.get("cancellation_reason").map(ToOwned::to_owned);
    let intent = intent.clone();
    drop(state);
    stripe.tell(
        "payment_intent.canceled",
        &intent,
        &intent.json(false, false),
    );
    Ok(Json(intent.json(false, false)).into_response())
}

/// `GET /v1/charges/{id}`.
pub(super) async fn charge(
    State(stripe): State<Arc<Stripe>>,
    account: Account,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let query = Form::read(query.unwrap_or_default().as_bytes());
    let booking = query.list("expand").contains(&"balance_transaction");
    let state = lock(&stripe.state);
    let mut mine = state
        .intents
        .values()
        .filter(|intent| intent.account == account.id && intent.live == account.live);
    match mine.find(|intent| intent.paid.as_ref().is_some_and(|paid| paid.charge == id)) {
        Some(intent) => Json(intent.charge_json(booking)).into_response(),
        None => wrong(
            StatusCode::NOT_FOUND,
            "invalid_request_error",
            Some("resource_missing"),
            Some("charge"),
        ),
    }
}
