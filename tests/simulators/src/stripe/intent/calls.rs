//! Endpoints of intents except creation and search.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};

use super::{Intent, create};
use crate::stripe::{
    Stripe,
    call::{Answer, Call},
    errors::ApiError,
    list as lists, method,
};

const REASONS: [&str; 4] = [
    "duplicate",
    "fraudulent",
    "requested_by_customer",
    "abandoned",
];

/// Handles `GET /v1/payment_intents/{id}`.
pub(in crate::stripe) async fn retrieve(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[&["client_secret"]])?;
    let tx = stripe.begin(call.cause.clone());
    let intent = tx.state.intents.get(&call.account, &id)?;
    let reply = call.answer(&tx, intent.json(&tx.state))?;
    Ok(reply)
}

/// Handles `GET /v1/payment_intents`, newest first and without lag.
pub(in crate::stripe) async fn list(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[&lists::KNOWN, &["customer"]])?;
    let tx = stripe.begin(call.cause.clone());
    let wanted = |_: &Intent| call.form.get("customer").is_none();
    let json = |intent: &Intent| intent.json(&tx.state);
    let page = lists::page(
        &call,
        &tx.state.intents,
        "/v1/payment_intents",
        wanted,
        json,
    )?;
    call.answer(&tx, page)
}

/// Handles `POST /v1/payment_intents/{id}/cancel`.
pub(in crate::stripe) async fn cancel(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[&["cancellation_reason"]])?;
    let reason = call.form.word("cancellation_reason", &REASONS)?;
    let mut tx = stripe.begin(call.cause.clone());
    let intent = tx.state.intents.get(&call.account, &id)?;
    let open = intent
        .session
        .as_ref()
        .and_then(|id| tx.state.sessions.any(id));
    if open.is_some_and(|session| session.status == "open") {
        let message = "You cannot cancel this PaymentIntent because it was created by a Checkout Session. Expire the Session instead.";
        return Err(unexpected(message.to_owned()));
    }
    if !intent.status.starts_with("requires_") {
        let message = format!(
            "You cannot cancel this PaymentIntent because it has a status of {}. Only a PaymentIntent with one of the following statuses may be canceled: requires_payment_method, requires_capture, requires_reauthorization, requires_confirmation, requires_action, processing.",
            intent.status
        );
        return Err(unexpected(message).intent(intent.json(&tx.state)));
    }
    tx.cancel_intent(&id, reason);
    let intent = tx.state.intents.get(&call.account, &id)?;
    call.answer(&tx, intent.json(&tx.state))
}

/// Handles `POST /v1/payment_intents/{id}/confirm`: shows a code or voucher, or another one after an expired one.
pub(in crate::stripe) async fn confirm(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[
        &create::OPTIONS,
        &method::KNOWN,
        &["return_url", "receipt_email"],
    ])?;
    let mut tx = stripe.begin(call.cause.clone());
    let mut intent = tx.state.intents.get(&call.account, &id)?.clone();
    if !["requires_payment_method", "requires_confirmation"].contains(&intent.status) {
        let message = format!(
            "You cannot confirm this PaymentIntent because it has a status of {}.",
            intent.status
        );
        return Err(unexpected(message).intent(intent.json(&tx.state)));
    }
    if call.form.has("payment_method_options") {
        (intent.lasts, intent.options) = create::options(&call.form, &intent.types, tx.now)?;
    }
    let method = create::attach(&mut tx, &mut intent, &call.form)?;
    if intent.status == "requires_payment_method" {
        return Err(create::unconfirmable());
    }
    if let Some(method) = method {
        tx.state.methods.put(method);
    }
    *tx.state.intents.get_mut(&call.account, &id)? = intent;
    tx.show_intent(&id);
    let intent = tx.state.intents.get(&call.account, &id)?;
    call.answer(&tx, intent.json(&tx.state))
}

fn unexpected(message: String) -> ApiError {
    ApiError::state(Some("payment_intent_unexpected_state"), message)
}
