//! Charges: successful and failed payments.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{
    Stripe,
    account::Account,
    call::{Answer, Call},
    collection::Resource,
    intent::Intent,
    list as lists,
    method::Means,
    nulls::with_nulls,
    transaction::Transaction,
};

/// Fields that are not simulated.
const NULL: [&str; 16] = [
    "application",
    "application_fee",
    "application_fee_amount",
    "calculated_statement_descriptor",
    "customer",
    "failure_balance_transaction",
    "on_behalf_of",
    "receipt_number",
    "review",
    "shipping",
    "source",
    "source_transfer",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
];

#[derive(Clone)]
pub(super) struct Charge {
    pub account: Account,
    pub id: String,
    pub created_at: DateTime<Utc>,
    pub amount: i64,
    pub intent: String,
    pub method: Option<String>,
    pub means: Means,
    /// Part of `payment_method_details` for the charge's payment method type.
    details: Value,
    billing: Value,
    metadata: Map<String, Value>,
    description: Option<String>,
    receipt_email: Option<String>,
    /// Amount refunded in centavos, without failed refunds.
    pub refunded: i64,
    pub dispute: Option<String>,
    pub booking: Option<String>,
    /// Decline code, if the charge was declined.
    pub declined: Option<String>,
}

impl Resource for Charge {
    const NAME: &'static str = "charge";
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

impl Charge {
    /// Creates the charge for an intent, with the amount that the intent received.
    pub(super) fn of(tx: &Transaction, intent: &Intent) -> Self {
        let method = intent
            .method
            .as_ref()
            .and_then(|id| tx.state.methods.any(id));
        let means = method.map_or(Means::Card, |method| method.means.clone());
        let (prefix, details) = match &means {
            Means::Pix => ("py", json!({ "bank_transaction_id": end_to_end_id(tx) })),
            Means::Boleto { tax_id } => ("py", json!({ "tax_id": tax_id })),
            Means::Card => ("ch", card(tx, intent)),
        };
        let anonymous = || json!({ "address": null, "email": null, "name": null, "phone": null, "tax_id": null });
        Self {
            account: intent.account.clone(),
            id: tx.id(prefix),
            created_at: tx.now,
            amount: intent.received,
            intent: intent.id.clone(),
            method: intent.method.clone(),
            details,
            billing: method.map_or_else(anonymous, |method| method.billing.clone()),
            metadata: intent.metadata.clone(),
            description: intent.description.clone(),
            receipt_email: intent.receipt_email.clone(),
            means,
            refunded: 0,
            dispute: None,
            booking: None,
            declined: None,
        }
    }

    pub(super) fn json(&self) -> Value {
        let paid = self.declined.is_none();
        let kind = self.means.kind();
        let seller_message = if paid {
            "Payment complete."
        } else {
            "The bank did not return any further details with this decline."
        };
        let outcome = json!({
            "advice_code": null, "network_advice_code": null, "network_decline_code": null,
            "network_status": if paid { "approved_by_network" } else { "declined_by_network" }, "reason": self.declined,
            "risk_level": "normal", "seller_message": seller_message, "type": if paid { "authorized" } else { "issuer_declined" },
        });
        let receipt = paid.then(|| format!("https://pay.stripe.com/receipts/payment/{}", self.id));
        let object = json!({
            "id": self.id, "object": "charge", "amount": self.amount, "amount_captured": if paid { self.amount } else { 0 },
            "amount_refunded": self.refunded, "balance_transaction": self.booking, "billing_details": self.billing, "captured": paid, "created": self.created_at.timestamp(), "currency": "brl", "description": self.description, "disputed": self.dispute.is_some(), "failure_code": self.declined.as_ref().map(|_| "card_declined"),
            "failure_message": self.declined.as_ref().map(|_| DECLINED), "fraud_details": {}, "livemode": self.account.live,
            "metadata": self.metadata, "outcome": outcome, "paid": paid, "payment_intent": self.intent,
            "payment_method": self.method, "payment_method_details": { kind: self.details, "type": kind },
            "receipt_email": self.receipt_email, "receipt_url": receipt,
            "refunded": paid && self.refunded >= self.amount, "status": if paid { "succeeded" } else { "failed" }, });
        with_nulls(object, &NULL)
    }
}

pub(super) const DECLINED: &str = "Your card was declined.";

/// Returns the `endToEndId` of a settled Pix.
fn end_to_end_id(tx: &Transaction) -> String {
    const ISPB: &str = "18236120";
    const OWN: usize = 11;
    let minute = tx.now.format("%Y%m%d%H%M");
    format!("E{ISPB}{minute}{}", tx.sim.random(OWN))
}

fn card(tx: &Transaction, intent: &Intent) -> Value {
    let session = intent
        .session
        .as_ref()
        .and_then(|id| tx.state.sessions.any(id));
    let parts = tx.state.behavior.installments;
    let in_parts = parts > 1 && session.is_some_and(|session| session.installments);
    let plan =
        in_parts.then(|| json!({ "count": parts, "interval": "month", "type": "fixed_count" }));
    json!({
        "amount_authorized": intent.received, "authorization_code": null, "brand": "visa",
        "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass" }, "country": "BR",
        "exp_month": 12, "exp_year": 2034, "extended_authorization": { "status": "disabled" }, "fingerprint": "8mXyKq2bJ4vT1nZd",
        "funding": "credit", "incremental_authorization": { "status": "unavailable" },
        "installments": plan.map(|plan| json!({ "plan": plan })), "last4": "4242", "mandate": null,
        "multicapture": { "status": "unavailable" }, "network": "visa", "network_token": { "used": false },
        "network_transaction_id": null, "overcapture": { "maximum_amount_capturable": intent.received, "status": "unavailable" },
        "regulated_status": null, "three_d_secure": null, "transaction_link_id": null, "wallet": null,
    })
}

/// Handles `GET /v1/charges/{id}`.
pub(super) async fn retrieve(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[])?;
    let tx = stripe.begin(call.cause.clone());
    let charge = tx.state.charges.get(&call.account, &id)?;
    call.answer(&tx, charge.json())
}

/// Handles `GET /v1/charges`.
pub(super) async fn list(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[
        &lists::KNOWN,
        &["payment_intent", "customer", "transfer_group"],
    ])?;
    let tx = stripe.begin(call.cause.clone());
    let intent = call.form.get("payment_intent");
    let is_foreign = call.form.has("customer") || call.form.has("transfer_group");
    let wanted =
        |charge: &Charge| !is_foreign && intent.is_none_or(|intent| charge.intent == intent);
    let page = lists::page(
        &call,
        &tx.state.charges,
        "/v1/charges",
        wanted,
        Charge::json,
    )?;
    call.answer(&tx, page)
}
