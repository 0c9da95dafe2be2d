//! Endpoint `POST /v1/checkout/sessions`.

use std::sync::Arc;

use axum::extract::State as Shared;
use chrono::{DateTime, TimeDelta, Utc};

use super::{Asked, Line, Session};
use crate::stripe::{
    Stripe,
    call::{Answer, Call},
    errors::ApiError,
    form::Form,
    intent::{check_amount, types},
    state::Due,
    transaction::Transaction,
};

const KNOWN: [&str; 32] = [
    "mode",
    "success_url",
    "cancel_url",
    "client_reference_id",
    "customer_email",
    "customer_creation",
    "currency",
    "locale",
    "submit_type",
    "ui_mode",
    "expires_at",
    "metadata[*]",
    "payment_method_types[]",
    "billing_address_collection",
    "allow_promotion_codes",
    "phone_number_collection[enabled]",
    "tax_id_collection[enabled]",
    "payment_method_options[card][installments][enabled]",
    "payment_method_options[card][request_three_d_secure]",
    "payment_intent_data[metadata][*]",
    "payment_intent_data[description]",
    "payment_intent_data[receipt_email]",
    "payment_intent_data[capture_method]",
    "payment_intent_data[statement_descriptor]",
    "payment_intent_data[statement_descriptor_suffix]",
    "line_items[][quantity]",
    "line_items[][price]",
    "line_items[][price_data][currency]",
    "line_items[][price_data][unit_amount]",
    "line_items[][price_data][product_data][name]",
    "line_items[][price_data][product_data][description]",
    "line_items[][price_data][product_data][metadata][*]",
];
const MAX_LINES: usize = 100;
const MIN_OPEN: TimeDelta = TimeDelta::minutes(30);
const MAX_OPEN: TimeDelta = TimeDelta::hours(24);
/// Length of the random part of a session's id.
const SECRET: usize = 56;
const MAX_REFERENCE: usize = 200;

pub(in crate::stripe) async fn create(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[&KNOWN])?;
    let form = &call.form;
    let mut tx = stripe.begin(call.cause.clone());
    form.need("mode")?;
    if form.word("mode", &["payment", "setup", "subscription"])? != Some("payment") {
        let message = "Only sessions in `payment` mode are simulated.";
        return Err(ApiError::invalid(None, "mode", message));
    }
    let lines = lines(&tx, form)?;
    let mut totals = lines.iter().map(Line::total);
    let amount = totals.try_fold(0_i64, |sum, total| sum.checked_add(total?));
    check_amount(amount.unwrap_or(i64::MAX), "line_items")?;
    let mode = if call.account.live { "live" } else { "test" };
    let session = Session {
        id: format!("cs_{mode}_a1{}", tx.sim.random(SECRET)),
        created_at: tx.now,
        expires_at: expires_at(form, tx.now)?,
        amount: amount.unwrap_or_default(),
        status: "open",
        intent: None,
        installments: form.truth("payment_method_options[card][installments][enabled]")?,
        service_us: 0,
        lines,
        asked: asked(&call)?,
        paid_by: None,
        account: call.account.clone(),
    };
    let (id, reference) = (session.id.clone(), session.reference().to_owned());
    let known = tx.state.references.entry(reference.clone()).or_default();
    known.push(id.clone());
    tx.at(session.expires_at, Due::ExpireSession(id.clone()));
    let json = session.json();
    tx.state.sessions.put(session);
    stripe.expect_payment(&id);
    Ok(call.answer(&tx, json)?.about(&reference))
}

fn asked(call: &Call) -> Result<Asked, ApiError> {
    let form = &call.form;
    let reference = form.text("client_reference_id");
    if reference
        .as_ref()
        .is_some_and(|text| text.chars().count() > MAX_REFERENCE)
    {
        let message = format!("Invalid string: must be at most {MAX_REFERENCE} characters");
        return Err(ApiError::invalid(None, "client_reference_id", message));
    }
    let types = types(form, &call.account)?;
    if !types.iter().any(|kind| kind == "card") {
        let message = "Only sessions that take cards are simulated.";
        return Err(ApiError::invalid(None, "payment_method_types", message));
    }
    Ok(Asked {
        success_url: Some(form.need("success_url")?.to_owned()),
        cancel_url: form.text("cancel_url"),
        client_reference_id: reference,
        customer_email: form.text("customer_email"),
        locale: form.text("locale"),
        submit_type: form.text("submit_type"),
        types,
        metadata: form.metadata("metadata")?,
        intent_metadata: form.metadata("payment_intent_data[metadata]")?,
        intent_description: form.text("payment_intent_data[description]"),
        receipt_email: form.text("payment_intent_data[receipt_email]"),
        collects_phone: form.truth("phone_number_collection[enabled]")?,
        collects_tax_id: form.truth("tax_id_collection[enabled]")?,
    })
}

fn lines(tx: &Transaction, form: &Form) -> Result<Vec<Line>, ApiError> {
    let elements = form.elements("line_items");
    if elements.is_empty() {
        return Err(ApiError::missing("line_items"));
    }
    if elements.len() > MAX_LINES {
        let message = format!("Only up to {MAX_LINES} line items are allowed.");
        return Err(ApiError::invalid(None, "line_items", message));
    }
    elements
        .iter()
        .map(|element| line(tx, form, element))
        .collect()
}

fn line(tx: &Transaction, form: &Form, element: &str) -> Result<Line, ApiError> {
    if let Some(price) = form.get(&format!("{element}[price]")) {
        return Err(ApiError::no_such(
            "price",
            &format!("{element}[price]"),
            price,
        ));
    }
    let (price, product) = (format!("{element}[price_data]"), "[product_data][name]");
    let currency = form.need(&format!("{price}[currency]"))?;
    if !currency.eq_ignore_ascii_case("brl") {
        let message = format!("Invalid currency: {currency}. This account takes brl.");
        return Err(ApiError::invalid(
            Some("invalid_currency"),
            &format!("{price}[currency]"),
            message,
        ));
    }
    let number = |name: &str| {
        let number = form.number(name)?.ok_or_else(|| ApiError::missing(name))?;
        if number < 0 {
            let message = "This value must be greater than or equal to 0.";
            return Err(ApiError::invalid(
                Some("parameter_invalid_integer"),
                name,
                message,
            ));
        }
        Ok(number)
    };
    Ok(Line {
        id: tx.id("li"),
        price: tx.id("price"),
        product: tx.id("prod"),
        name: form.need(&format!("{price}{product}"))?.to_owned(),
        unit_amount: number(&format!("{price}[unit_amount]"))?,
        quantity: number(&format!("{element}[quantity]"))?,
    })
}

fn expires_at(form: &Form, now: DateTime<Utc>) -> Result<DateTime<Utc>, ApiError> {
    let Some(seconds) = form.number("expires_at")? else {
        return Ok(now + MAX_OPEN);
    };
    // Stripe and its clients count in whole seconds
    let open = TimeDelta::seconds(seconds.saturating_sub(now.timestamp()).clamp(-1, 1 << 32));
    let refuse = |message: &str| Err(ApiError::invalid(None, "expires_at", message));
    if open < MIN_OPEN {
        return refuse(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
        );
    }
    if open > MAX_OPEN {
        return refuse(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
        );
    }
    DateTime::from_timestamp(seconds, 0)
        .ok_or_else(|| ApiError::invalid(None, "expires_at", "Invalid timestamp"))
}
