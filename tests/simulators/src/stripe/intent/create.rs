//! Endpoint `POST /v1/payment_intents`.

use std::sync::Arc;

use axum::extract::State as Shared;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{Intent, Lasts};
use crate::stripe::{
    Stripe,
    account::Account,
    call::{Answer, Call},
    errors::ApiError,
    form::Form,
    method::{self, Method},
    transaction::Transaction,
};

/// Parameters of the call, except those of `OPTIONS` and of the payment method.
const KNOWN: [&str; 27] = [
    "amount",
    "currency",
    "confirm",
    "payment_method",
    "payment_method_types[]",
    "metadata[*]",
    "description",
    "customer",
    "receipt_email",
    "return_url",
    "capture_method",
    "confirmation_method",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "setup_future_usage",
    "shipping[name]",
    "shipping[phone]",
    "shipping[carrier]",
    "shipping[tracking_number]",
    "shipping[address][line1]",
    "shipping[address][line2]",
    "shipping[address][city]",
    "shipping[address][state]",
    "shipping[address][postal_code]",
    "shipping[address][country]",
    "automatic_payment_methods[enabled]",
    "automatic_payment_methods[allow_redirects]",
];
pub(super) const OPTIONS: [&str; 10] = [
    "payment_method_options[pix][expires_after_seconds]",
    "payment_method_options[pix][expires_at]",
    "payment_method_options[pix][amount_includes_iof]",
    "payment_method_options[pix][setup_future_usage]",
    "payment_method_options[boleto][expires_after_days]",
    "payment_method_options[boleto][setup_future_usage]",
    "payment_method_options[card][installments][enabled]",
    "payment_method_options[card][request_three_d_secure]",
    "payment_method_options[card][capture_method]",
    "payment_method_options[card][setup_future_usage]",
];
const PIX_SECONDS: &str = OPTIONS[0];
const PIX_INSTANT: &str = OPTIONS[1];
const BOLETO_DAYS: &str = OPTIONS[4];
/// Default lifetime of a Pix code in seconds: four hours.
const DEFAULT_PIX_S: i64 = 14_400;
const MIN_PIX_S: i64 = 60;
const MAX_PIX_S: i64 = 1_209_600;
const DEFAULT_BOLETO_DAYS: i64 = 3;
const MAX_BOLETO_DAYS: i64 = 60;
/// Minimum amount in centavos.
const MIN_AMOUNT: i64 = 50;
const MAX_AMOUNT: i64 = 99_999_999;

pub(in crate::stripe) async fn create(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[&KNOWN, &OPTIONS, &method::KNOWN])?;
    let form = &call.form;
    let mut tx = stripe.begin(call.cause.clone());
    let mut intent = Intent {
        types: types(form, &call.account)?,
        description: form.text("description"),
        receipt_email: form.text("receipt_email"),
        metadata: form.metadata("metadata")?,
        ..blank(&tx, call.account.clone(), amount(form)?)
    };
    if let Some(customer) = form.get("customer") {
        return Err(ApiError::no_such("customer", "customer", customer));
    }
    if let Some(other) = form.get("payment_method") {
        return Err(ApiError::no_such("PaymentMethod", "payment_method", other));
    }
    (intent.lasts, intent.options) = options(form, &intent.types, tx.now)?;
    let method = attach(&mut tx, &mut intent, form)?;
    let confirm = form.truth("confirm")?;
    if confirm && method.is_none() {
        return Err(unconfirmable());
    }
    let (id, reference) = (intent.id.clone(), intent.reference().to_owned());
    let known = tx.state.references.entry(reference.clone()).or_default();
    known.push(id.clone());
    tx.state.intents.put(intent);
    if let Some(method) = method {
        tx.state.methods.put(method);
    }
    tx.notify_intent("payment_intent.created", &id);
    if confirm {
        tx.show_intent(&id);
        stripe.expect_payment(&id);
    }
    let intent = tx.state.intents.get(&call.account, &id)?.json(&tx.state);
    Ok(call.answer(&tx, intent)?.about(&reference))
}

/// Creates an intent with default values.
pub(in crate::stripe) fn blank(tx: &Transaction, account: Account, amount: i64) -> Intent {
    const SECRET: usize = 25;
    let id = tx.id("pi");
    Intent {
        account,
        created_at: tx.now,
        amount,
        status: "requires_payment_method",
        description: None,
        receipt_email: None,
        metadata: Map::new(),
        types: Vec::new(),
        options: json!({}),
        lasts: Lasts::Seconds(DEFAULT_PIX_S),
        method: None,
        secret: format!("{id}_secret_{}", tx.sim.random(SECRET)),
        id,
        shown: String::new(),
        expires_at: None,
        cancellation_reason: None,
        canceled_at: None,
        last_error: None,
        latest_charge: None,
        received: 0,
        session: None,
        service_us: 0,
    }
}

/// Sets the intent's payment method from the form. The caller stores the method.
pub(super) fn attach(
    tx: &mut Transaction,
    intent: &mut Intent,
    form: &Form,
) -> Result<Option<Method>, ApiError> {
    let Some(means) = method::read(form)? else {
        return Ok(None);
    };
    if !intent.types.iter().any(|kind| kind == means.kind()) {
        let message = format!(
            "The PaymentMethod provided ({}) is not allowed for this PaymentIntent. Please attach a PaymentMethod of one of the following types: {}.",
            means.kind(),
            intent.types.join(", ")
        );
        return Err(ApiError::invalid(
            None,
            "payment_method_data[type]",
            message,
        ));
    }
    // Stripe lists the used type first
    intent.types.sort_by_key(|kind| kind != means.kind());
    let method = Method {
        account: intent.account.clone(),
        id: tx.id("pm"),
        created_at: tx.now,
        billing: method::billing(form),
        means,
    };
    intent.method = Some(method.id.clone());
    intent.status = "requires_confirmation";
    Ok(Some(method))
}

pub(super) fn unconfirmable() -> ApiError {
    let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method or ConfirmationToken.";
    ApiError::state(Some("payment_intent_unexpected_state"), message)
}

fn amount(form: &Form) -> Result<i64, ApiError> {
    form.need("amount")?;
    let amount = form.number("amount")?.unwrap_or_default();
    check_amount(amount, "amount")?;
    let currency = form.need("currency")?;
    if currency.eq_ignore_ascii_case("brl") {
        Ok(amount)
    } else {
        let message = format!("Invalid currency: {currency}. This account takes brl.");
        Err(ApiError::invalid(
            Some("invalid_currency"),
            "currency",
            message,
        ))
    }
}

pub(in crate::stripe) fn check_amount(amount: i64, param: &str) -> Result<(), ApiError> {
    let (code, message) = if amount < MIN_AMOUNT {
        ("amount_too_small", "Amount must be at least R$0.50 brl")
    } else if amount > MAX_AMOUNT {
        (
            "amount_too_large",
            "Amount must be no more than R$999,999.99 brl",
        )
    } else {
        return Ok(());
    };
    Err(ApiError::invalid(Some(code), param, message))
}

/// Returns `payment_method_types`. Refuses types that the account does not have.
pub(in crate::stripe) fn types(form: &Form, account: &Account) -> Result<Vec<String>, ApiError> {
    let mut types: Vec<String> = Vec::new();
    for kind in form.list("payment_method_types") {
        let known = ["pix", "boleto", "card"].contains(&kind);
        if !known || !account.takes(kind) {
            let message = format!(
                "The payment method type \"{kind}\" is invalid. Please ensure the provided type is activated in your dashboard (https://dashboard.stripe.com/account/payments/settings) and your account is enabled for any preview features that you are trying to use."
            );
            let code = Some("payment_intent_invalid_parameter");
            return Err(ApiError::invalid(code, "payment_method_types", message));
        }
        types.push(kind.to_owned());
    }
    if types.is_empty() {
        types.push("card".to_owned());
    }
    Ok(types)
}

/// Returns the lifetime of the code or voucher, and the options for responses.
pub(super) fn options(
    form: &Form,
    types: &[String],
    now: DateTime<Utc>,
) -> Result<(Lasts, Value), ApiError> {
    let (mut lasts, mut options) = (Lasts::Seconds(DEFAULT_PIX_S), json!({}));
    for kind in types {
        if kind == "card" {
            options["card"] = json!({ "installments": null, "mandate_options": null, "network": null, "request_three_d_secure": "automatic" });
        } else if kind == "boleto" {
            let days = form.number(BOLETO_DAYS)?.unwrap_or(DEFAULT_BOLETO_DAYS);
            let days = u64::try_from(days).ok().filter(|_| days <= MAX_BOLETO_DAYS);
            let days = days.ok_or_else(|| between(BOLETO_DAYS, 0, MAX_BOLETO_DAYS))?;
            lasts = Lasts::Days(days);
            options["boleto"] = json!({ "expires_after_days": days });
        } else {
            (lasts, options["pix"]) = pix_options(form, now)?;
        }
    }
    Ok((lasts, options))
}

fn pix_options(form: &Form, now: DateTime<Utc>) -> Result<(Lasts, Value), ApiError> {
    let seconds = form.number(PIX_SECONDS)?;
    let Some(instant) = form.number(PIX_INSTANT)? else {
        let seconds = seconds.unwrap_or(DEFAULT_PIX_S);
        if !(MIN_PIX_S..=MAX_PIX_S).contains(&seconds) {
            return Err(between(PIX_SECONDS, MIN_PIX_S, MAX_PIX_S));
        }
        return Ok((
            Lasts::Seconds(seconds),
            json!({ "expires_after_seconds": seconds }),
        ));
    };
    if seconds.is_some() {
        let message =
            "You may only specify one of these parameters: expires_after_seconds, expires_at.";
        return Err(ApiError::invalid(None, PIX_INSTANT, message));
    }
    let until = DateTime::from_timestamp(instant, 0).filter(|until| {
        (TimeDelta::seconds(MIN_PIX_S)..=TimeDelta::seconds(MAX_PIX_S)).contains(&(*until - now))
    });
    let until = until.ok_or_else(|| {
        let message = "The Pix must expire between 60 seconds and 14 days from now.";
        ApiError::invalid(None, PIX_INSTANT, message)
    })?;
    Ok((
        Lasts::Until(until),
        json!({ "expires_after_seconds": null, "expires_at": instant }),
    ))
}

fn between(param: &str, least: i64, most: i64) -> ApiError {
    let message = format!("This value must be between {least} and {most} (inclusive).");
    ApiError::invalid(Some("parameter_invalid_integer"), param, message)
}
