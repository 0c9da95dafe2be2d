//! What else is asked of intents.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};

use super::{Intent, create};
use crate::stripe::{
    Stripe,
    call::{Answer, Call},
    list as lists, method,
    wrong::Wrong,
};

const REASONS: [&str; 4] = [
    "duplicate",
    "fraudulent",
    "requested_by_customer",
    "abandoned",
];

/// `GET /v1/payment_intents/{id}`.
pub(in crate::stripe) async fn retrieve(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[&["client_secret"]])?;
    let desk = stripe.desk(call.cause.clone());
    let intent = desk.state.intents.get(&call.account, &id)?;
    let reply = call.answer(&desk, intent.json(&desk.state))?;
    Ok(reply)
}

/// `GET /v1/payment_intents`: newest first, and immediate.
pub(in crate::stripe) async fn list(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[&lists::KNOWN, &["customer"]])?;
    let desk = stripe.desk(call.cause.clone());
    let wanted = |_: &Intent| call.form.get("customer").is_none();
    let json = |intent: &Intent| intent.json(&desk.state);
    let page = lists::page(
        &call,
        &desk.state.intents,
        "/v1/payment_intents",
        wanted,
        json,
    )?;
    call.answer(&desk, page)
}

/// `POST /v1/payment_intents/{id}/cancel`.
pub(in crate::stripe) async fn cancel(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[&["cancellation_reason"]])?;
    let reason = call.form.word("cancellation_reason", &REASONS)?;
    let mut desk = stripe.desk(call.cause.clone());
    let intent = desk.state.intents.get(&call.account, &id)?;
    let open = intent
        .session
        .as_ref()
        .and_then(|id| desk.state.sessions.any(id));
    if open.is_some_and(|session| session.status == "open") {
        let message = "You cannot cancel this PaymentIntent because it was created by a Checkout Session. Expire the Session instead.";
        return Err(unexpected(message.to_owned()));
    }
    if !intent.status.starts_with("requires_") {
        let message = format!(
            "You cannot cancel this PaymentIntent because it has a status of {}. Only a PaymentIntent with one of the following statuses may be canceled: requires_payment_method, requires_capture, requires_reauthorization, requires_confirmation, requires_action, processing.",
            intent.status
        );
        return Err(unexpected(message).intent(intent.json(&desk.state)));
    }
    desk.cancel_intent(&id, reason);
    let intent = desk.state.intents.get(&call.account, &id)?;
    call.answer(&desk, intent.json(&desk.state))
}

/// `POST /v1/payment_intents/{id}/confirm`: shows a code or voucher, anew after one that ended.
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
    let mut desk = stripe.desk(call.cause.clone());
    let mut intent = desk.state.intents.get(&call.account, &id)?.clone();
    if !["requires_payment_method", "requires_confirmation"].contains(&intent.status) {
        let message = format!(
            "You cannot confirm this PaymentIntent because it has a status of {}.",
            intent.status
        );
        return Err(unexpected(message).intent(intent.json(&desk.state)));
    }
    if call.form.has("payment_method_options") {
        (intent.lasts, intent.options) = create::options(&call.form, &intent.types, desk.now)?;
    }
    let method = create::attach(&mut desk, &mut intent, &call.form)?;
    if intent.status == "requires_payment_method" {
        return Err(create::unconfirmable());
    }
    if let Some(method) = method {
        desk.state.methods.put(method);
    }
    *desk.state.intents.get_mut(&call.account, &id)? = intent;
    desk.show_intent(&id);
    let intent = desk.state.intents.get(&call.account, &id)?;
    call.answer(&desk, intent.json(&desk.state))
}

fn unexpected(message: String) -> Wrong {
    Wrong::state(Some("payment_intent_unexpected_state"), message)
}
