//! Checkout sessions: hosted pages for card payments. `docs/gateways/stripe.md#create-a-charge`.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{
    account::Account,
    charge::{Charge, DECLINED},
    collection::Resource,
    intent::{Intent, blank},
    method::{Means, Method},
    nulls::with_nulls,
    transaction::Transaction,
};

mod calls;
mod create;

pub(super) use calls::{expire, lines, list, retrieve};
pub(super) use create::create;

/// Fields that are not simulated.
const NULL: [&str; 25] = [
    "adaptive_pricing",
    "after_expiration",
    "allow_promotion_codes",
    "billing_address_collection",
    "client_secret",
    "collected_information",
    "consent",
    "consent_collection",
    "currency_conversion",
    "customer",
    "customer_account",
    "integration_identifier",
    "invoice",
    "managed_payments",
    "origin_context",
    "payment_link",
    "payment_method_configuration_details",
    "permissions",
    "recovered_from",
    "saved_payment_method_options",
    "setup_intent",
    "shipping_address_collection",
    "shipping_cost",
    "subscription",
    "wallet_options",
];

#[derive(Clone)]
pub(super) struct Session {
    pub account: Account,
    pub id: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub amount: i64,
    pub status: &'static str,
    pub intent: Option<String>,
    pub installments: bool,
    pub service_us: u64,
    lines: Vec<Line>,
    asked: Asked,
    /// `customer_details` of the payer.
    paid_by: Option<Value>,
}

/// Parameters of the creation request.
#[derive(Clone)]
struct Asked {
    success_url: Option<String>,
    cancel_url: Option<String>,
    client_reference_id: Option<String>,
    customer_email: Option<String>,
    locale: Option<String>,
    submit_type: Option<String>,
    types: Vec<String>,
    metadata: Map<String, Value>,
    /// Metadata of `payment_intent_data`, which the intent gets and the session does not.
    intent_metadata: Map<String, Value>,
    intent_description: Option<String>,
    receipt_email: Option<String>,
    collects_phone: bool,
    collects_tax_id: bool,
}

#[derive(Clone)]
struct Line {
    id: String,
    price: String,
    product: String,
    name: String,
    unit_amount: i64,
    quantity: i64,
}

impl Resource for Session {
    const NAME: &'static str = "checkout.session";
    const PARAM: &'static str = "session";

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

impl Session {
    /// Returns `client_reference_id`, or else the metadata's `reference`.
    pub(super) fn reference(&self) -> &str {
        let metadata = self.asked.metadata.get("reference").and_then(Value::as_str);
        self.asked
            .client_reference_id
            .as_deref()
            .or(metadata)
            .unwrap_or_default()
    }

    pub(super) fn description(&self) -> &str {
        let first = self.lines.first().map(|line| line.name.as_str());
        self.asked
            .intent_description
            .as_deref()
            .or(first)
            .unwrap_or_default()
    }

    pub(super) fn json(&self) -> Value {
        let asked = &self.asked;
        let open = self.status == "open";
        let url = open.then(|| format!("https://checkout.stripe.com/c/pay/{}", self.id));
        let installments = if self.installments {
            json!({ "enabled": true })
        } else {
            json!({})
        };
        let options = if asked.types.iter().any(|kind| kind == "card") {
            json!({ "card": { "installments": installments, "request_three_d_secure": "automatic" } })
        } else {
            json!({})
        };
        let object = json!({
            "id": self.id, "object": "checkout.session", "amount_subtotal": self.amount, "amount_total": self.amount,
            "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
            "cancel_url": asked.cancel_url, "client_reference_id": asked.client_reference_id,
            "created": self.created_at.timestamp(), "currency": "brl", "custom_fields": [],
            "custom_text": { "after_submit": null, "shipping_address": null, "submit": null, "terms_of_service_acceptance": null },
            "customer_creation": "if_required", "customer_details": self.payer(),
            "customer_email": asked.customer_email, "discounts": [], "expires_at": self.expires_at.timestamp(),
            "invoice_creation": { "enabled": false, "invoice_data": {
                "account_tax_ids": null, "custom_fields": null, "description": null, "footer": null, "issuer": null, "metadata": {}, "rendering_options": null,
            } },
            "livemode": self.account.live, "locale": asked.locale, "metadata": asked.metadata,
            "mode": "payment", "payment_intent": self.intent, "payment_method_collection": "if_required", "payment_method_options": options, "payment_method_types": asked.types,
            "payment_status": if self.status == "complete" { "paid" } else { "unpaid" }, "phone_number_collection": { "enabled": asked.collects_phone }, "shipping_options": [], "status": self.status, "submit_type": asked.submit_type,
            "success_url": asked.success_url, "tax_id_collection": { "enabled": asked.collects_tax_id },
            "total_details": { "amount_discount": 0, "amount_shipping": 0, "amount_tax": 0 }, "ui_mode": "hosted",
            "url": url, });
        with_nulls(object, &NULL)
    }

    fn payer(&self) -> Value {
        let known = self.asked.customer_email.as_ref().map(|email| {
            json!({ "address": null, "business_name": null, "email": email, "individual_name": null, "name": null, "phone": null, "tax_exempt": "none", "tax_ids": null })
        });
        self.paid_by.clone().or(known).unwrap_or_default()
    }

    pub(super) fn lines_json(&self) -> Value {
        let data: Vec<_> = self.lines.iter().map(|line| line.json(self)).collect();
        let url = format!("/v1/checkout/sessions/{}/line_items", self.id);
        json!({ "object": "list", "data": data, "has_more": false, "url": url })
    }
}

impl Line {
    fn total(&self) -> Option<i64> {
        self.unit_amount.checked_mul(self.quantity)
    }

    fn json(&self, session: &Session) -> Value {
        let total = self.total();
        json!({
            "id": self.id, "object": "item", "adjustable_quantity": null, "amount_discount": 0, "amount_subtotal": total,
            "amount_tax": 0, "amount_total": total, "currency": "brl", "description": self.name, "metadata": {},
            "price": {
                "id": self.price, "object": "price", "active": false, "billing_scheme": "per_unit",
                "created": session.created_at.timestamp(), "currency": "brl", "custom_unit_amount": null,
                "livemode": session.account.live, "lookup_key": null, "metadata": {}, "nickname": null, "product": self.product,
                "recurring": null, "tax_behavior": "unspecified", "tiers_mode": null, "transform_quantity": null,
                "type": "one_time", "unit_amount": self.unit_amount, "unit_amount_decimal": self.unit_amount.to_string(),
            },
            "quantity": self.quantity,
        })
    }
}

impl Transaction<'_> {
    fn notify_session(&mut self, kind: &str, id: &str) {
        if let Some(session) = self.state.sessions.any(id) {
            let (account, data) = (session.account.clone(), session.json());
            self.notify(kind, &account, &json!({ "object": data }));
        }
    }

    /// Pays the session by card, even after the page expired.
    pub(super) fn pay_session(&mut self, id: &str, amount: Option<i64>) {
        let Some(intent) = self.submit(id) else {
            return;
        };
        self.pay_intent(&intent, amount);
        let method = self
            .state
            .intents
            .any(&intent)
            .and_then(|intent| intent.method.clone());
        let billing = method
            .and_then(|id| self.state.methods.any(&id))
            .map(|method| method.billing.clone());
        let billing = billing.unwrap_or_default();
        if let Some(session) = self.state.sessions.any_mut(id) {
            session.status = "complete";
            session.paid_by = Some(json!({
                "address": billing["address"], "business_name": null, "email": billing["email"], "individual_name": null,
                "name": billing["name"], "phone": null, "tax_exempt": "none", "tax_ids": [],
            }));
        }
        self.notify_session("checkout.session.completed", id);
    }

    /// Declines the payer's card. The page stays open for another card.
    pub(super) fn decline_session(&mut self, id: &str) {
        let Some(intent_id) = self.submit(id) else {
            return;
        };
        let code = self.state.behavior.decline_code.clone();
        let Some(intent) = self.state.intents.any(&intent_id).cloned() else {
            return;
        };
        let mut charge = Charge::of(self, &intent);
        charge.amount = intent.amount;
        charge.declined = Some(code.clone());
        let charge_id = charge.id.clone();
        self.state.charges.put(charge);
        if let Some(intent) = self.state.intents.any_mut(&intent_id) {
            intent.latest_charge = Some(charge_id.clone());
        }
        self.notify_charge("charge.failed", &charge_id, None);
        self.fail_intent(&intent_id, json!({
            "type": "card_error", "code": "card_declined", "decline_code": code, "message": DECLINED, "charge": charge_id,
            "doc_url": "https://stripe.com/docs/error-codes/card-declined",
        }));
    }

    /// Submits the page with a card and returns the id of the session's intent, which is created if necessary.
    fn submit(&mut self, id: &str) -> Option<String> {
        let session = self.state.sessions.any(id)?.clone();
        let email = session.asked.customer_email.clone();
        let method = Method {
            account: session.account.clone(),
            id: self.id("pm"),
            created_at: self.now,
            billing: json!({
                "address": { "city": null, "country": "BR", "line1": null, "line2": null, "postal_code": null, "state": null },
                "email": email.unwrap_or_else(|| "comprador@example.com".to_owned()), "name": "COMPRADOR SIMULADO", "phone": null, "tax_id": null,
            }),
            means: Means::Card,
        };
        let method_id = method.id.clone();
        self.state.methods.put(method);
        if let Some(intent) = session.intent {
            self.state.intents.any_mut(&intent)?.method = Some(method_id);
            return Some(intent);
        }
        let asked = session.asked;
        let intent = Intent {
            description: asked.intent_description,
            receipt_email: asked.receipt_email,
            metadata: asked.intent_metadata,
            types: vec!["card".to_owned()],
            options: json!({ "card": { "installments": null, "mandate_options": null, "network": null, "request_three_d_secure": "automatic" } }),
            method: Some(method_id),
            session: Some(session.id),
            ..blank(self, session.account, session.amount)
        };
        let intent_id = intent.id.clone();
        self.state.intents.put(intent);
        self.state.sessions.any_mut(id)?.intent = Some(intent_id.clone());
        self.notify_intent("payment_intent.created", &intent_id);
        Some(intent_id)
    }

    /// Expires the session and cancels its unpaid intent.
    pub(super) fn expire_session(&mut self, id: &str) {
        let Some(session) = self
            .state
            .sessions
            .any_mut(id)
            .filter(|session| session.status == "open")
        else {
            return;
        };
        session.status = "expired";
        let intent = session.intent.clone();
        if let Some(intent) = intent {
            self.cancel_intent(&intent, Some("automatic"));
        }
        self.notify_session("checkout.session.expired", id);
    }
}
