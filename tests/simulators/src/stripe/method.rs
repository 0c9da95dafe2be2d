//! Payment methods, and the `payment_method_data` that creates them.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    Stripe,
    account::Account,
    boleto,
    call::{Answer, Call},
    collection::Resource,
    errors::ApiError,
    form::Form,
};

/// Fields of `payment_method_data`.
pub(super) const KNOWN: [&str; 16] = [
    "payment_method_data[type]",
    "payment_method_data[pix]",
    "payment_method_data[boleto][tax_id]",
    "payment_method_data[allow_redisplay]",
    "payment_method_data[metadata][*]",
    "payment_method_data[radar_options][session]",
    "payment_method_data[billing_details][name]",
    "payment_method_data[billing_details][email]",
    "payment_method_data[billing_details][phone]",
    "payment_method_data[billing_details][tax_id]",
    "payment_method_data[billing_details][address][line1]",
    "payment_method_data[billing_details][address][line2]",
    "payment_method_data[billing_details][address][city]",
    "payment_method_data[billing_details][address][state]",
    "payment_method_data[billing_details][address][postal_code]",
    "payment_method_data[billing_details][address][country]",
];

#[derive(Clone)]
pub(super) struct Method {
    pub account: Account,
    pub id: String,
    pub created_at: DateTime<Utc>,
    pub billing: Value,
    pub means: Means,
}

#[derive(Clone, Debug)]
pub(super) enum Means {
    Pix,
    Boleto { tax_id: String },
    Card,
}

impl Means {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Pix => "pix",
            Self::Boleto { .. } => "boleto",
            Self::Card => "card",
        }
    }
}

impl Resource for Method {
    const NAME: &'static str = "PaymentMethod";
    const PARAM: &'static str = "payment_method";

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

impl Method {
    pub(super) fn json(&self) -> Value {
        let details = match &self.means {
            Means::Pix => json!({}),
            Means::Boleto { tax_id } => json!({ "tax_id": tax_id }),
            Means::Card => card(),
        };
        let kind = self.means.kind();
        json!({
            "id": self.id, "object": "payment_method", "allow_redisplay": "unspecified", "billing_details": self.billing,
            "created": self.created_at.timestamp(), "customer": null, "customer_account": null, "livemode": self.account.live,
            "metadata": {}, kind: details, "type": kind,
        })
    }
}

/// Returns the card of every payer.
fn card() -> Value {
    json!({
        "brand": "visa", "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass" },
        "country": "BR", "display_brand": "visa", "exp_month": 12, "exp_year": 2034, "fingerprint": "8mXyKq2bJ4vT1nZd",
        "funding": "credit", "generated_from": null, "last4": "4242", "networks": { "available": ["visa"], "preferred": null },
        "regulated_status": null, "three_d_secure_usage": { "supported": true }, "wallet": null,
    })
}

/// Reads the payment method of a form, or nothing if the form has none.
pub(super) fn read(form: &Form) -> Result<Option<Means>, ApiError> {
    const TYPE: &str = "payment_method_data[type]";
    if !form.has("payment_method_data") {
        return Ok(None);
    }
    form.need(TYPE)?;
    Ok(match form.word(TYPE, &["pix", "boleto"])? {
        Some("boleto") => Some(Means::Boleto {
            tax_id: boleto::payer(form)?,
        }),
        _ => Some(Means::Pix),
    })
}

pub(super) fn billing(form: &Form) -> Value {
    let field = |name: &str| form.text(&format!("payment_method_data[billing_details][{name}]"));
    let address = |name: &str| {
        form.text(&format!(
            "payment_method_data[billing_details][address][{name}]"
        ))
    };
    json!({
        "address": {
            "city": address("city"), "country": address("country"), "line1": address("line1"), "line2": address("line2"),
            "postal_code": address("postal_code"), "state": address("state"),
        },
        "email": field("email"), "name": field("name"), "phone": field("phone"), "tax_id": field("tax_id"),
    })
}

/// Handles `GET /v1/payment_methods/{id}`.
pub(super) async fn retrieve(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[])?;
    let tx = stripe.begin(call.cause.clone());
    let method = tx.state.methods.get(&call.account, &id)?;
    call.answer(&tx, method.json())
}
