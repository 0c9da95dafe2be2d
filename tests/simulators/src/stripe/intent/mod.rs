//! Payment intents and their state changes. `docs/gateways/stripe.md#statuses`.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{
    account::Account,
    boleto,
    charge::Charge,
    collection::Resource,
    method::{Means, Method},
    nulls::with_nulls,
    state::{Due, State},
    transaction::Transaction,
};
use crate::sim::decimal;

mod calls;
mod create;
mod search;

pub(super) use calls::{cancel, confirm, list, retrieve};
pub(super) use create::{blank, check_amount, create, types};
pub(super) use search::search;

/// Seconds after which the sandbox acts on an email address that requests a delay.
const SANDBOX_DELAY_S: i64 = 180;

/// Fields that are not simulated.
const NULL: [&str; 18] = [
    "application",
    "application_fee_amount",
    "automatic_payment_methods",
    "customer",
    "customer_account",
    "excluded_payment_method_types",
    "managed_payments",
    "on_behalf_of",
    "payment_method_configuration_details",
    "processing",
    "review",
    "setup_future_usage",
    "shipping",
    "source",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
];

#[derive(Clone)]
pub(super) struct Intent {
    pub account: Account,
    pub id: String,
    pub created_at: DateTime<Utc>,
    pub amount: i64,
    pub status: &'static str,
    pub description: Option<String>,
    pub receipt_email: Option<String>,
    pub metadata: Map<String, Value>,
    pub types: Vec<String>,
    /// `payment_method_options` in responses.
    pub options: Value,
    pub lasts: Lasts,
    /// Id of the payment method. Responses omit it after the attempt failed.
    pub method: Option<String>,
    pub secret: String,
    /// Content of the next action: the location of a Pix code, or a boleto's line.
    pub shown: String,
    pub expires_at: Option<DateTime<Utc>>,
    pub cancellation_reason: Option<&'static str>,
    pub canceled_at: Option<DateTime<Utc>>,
    pub last_error: Option<Value>,
    pub latest_charge: Option<String>,
    pub received: i64,
    pub session: Option<String>,
    pub service_us: u64,
}

/// Lifetime of a code or voucher after it is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lasts {
    Seconds(i64),
    Until(DateTime<Utc>),
    /// Until the end of the day that is this many days later.
    Days(u64),
}

impl Resource for Intent {
    const NAME: &'static str = "payment_intent";
    const PARAM: &'static str = "intent";

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

impl Intent {
    pub(super) fn reference(&self) -> &str {
        let reference = self.metadata.get("reference");
        reference.and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn json(&self, state: &State) -> Value {
        let method = self.method.as_ref().and_then(|id| state.methods.any(id));
        let attached = self
            .method
            .as_ref()
            .filter(|_| self.status != "requires_payment_method");
        let object = json!({
            "id": self.id, "object": "payment_intent", "amount": self.amount, "amount_capturable": 0, "amount_details": { "tip": {} },
            "amount_received": self.received, "canceled_at": self.canceled_at.map(|at| at.timestamp()), "cancellation_reason": self.cancellation_reason,
            "capture_method": "automatic", "client_secret": self.secret, "confirmation_method": "automatic",
            "created": self.created_at.timestamp(), "currency": "brl", "description": self.description, "last_payment_error": self.last_error,
            "latest_charge": self.latest_charge, "livemode": self.account.live, "metadata": self.metadata,
            "next_action": method.and_then(|method| self.next_action(method)), "payment_method": attached,
            "payment_method_options": self.options,
            "payment_method_types": self.types, "receipt_email": self.receipt_email, "status": self.status, });
        with_nulls(object, &NULL)
    }

    fn next_action(&self, method: &Method) -> Option<Value> {
        if self.status != "requires_action" {
            return None;
        }
        let expires_at = self.expires_at.map(|at| at.timestamp());
        Some(match method.means {
            Means::Boleto { .. } => {
                let voucher = format!("https://payments.stripe.com/boleto/voucher/{}", self.id);
                json!({ "type": "boleto_display_details", "boleto_display_details": {
                    "number": self.shown, "expires_at": expires_at, "hosted_voucher_url": voucher, "pdf": format!("{voucher}/pdf"),
                } })
            }
            Means::Pix | Means::Card => {
                let code = crate::br_code::dynamic(&self.shown, &decimal(self.amount));
                json!({ "type": "pix_display_qr_code", "pix_display_qr_code": {
                    "data": code, "expires_at": expires_at,
                    "hosted_instructions_url": format!("https://payments.stripe.com/qr/instructions/{}", self.id),
                    "image_url_png": format!("https://qr.stripe.com/{}.png", self.id),
                    "image_url_svg": format!("https://qr.stripe.com/{}.svg", self.id),
                } })
            }
        })
    }
}

impl Transaction<'_> {
    pub(super) fn notify_intent(&mut self, kind: &str, id: &str) {
        if let Some(intent) = self.state.intents.any(id) {
            let (account, data) = (intent.account.clone(), intent.json(&self.state));
            self.notify(kind, &account, &json!({ "object": data }));
        }
    }

    pub(super) fn notify_charge(&mut self, kind: &str, id: &str, before: Option<Value>) {
        if let Some(charge) = self.state.charges.any(id) {
            let (account, mut data) = (charge.account.clone(), json!({ "object": charge.json() }));
            if let Some(before) = before {
                data["previous_attributes"] = before;
            }
            self.notify(kind, &account, &data);
        }
    }

    /// Shows the code or the voucher, and schedules the result that the payer's email address requests.
    pub(super) fn show_intent(&mut self, id: &str) {
        let now = self.now;
        let random = self.sim.random(32);
        let Some(mut intent) = self.state.intents.any(id).cloned() else {
            return;
        };
        let method = intent
            .method
            .as_ref()
            .and_then(|method| self.state.methods.any(method));
        let Some(method) = method.cloned() else {
            return;
        };
        let expires_at = match intent.lasts {
            Lasts::Seconds(seconds) => now + TimeDelta::seconds(seconds),
            Lasts::Until(instant) => instant,
            Lasts::Days(days) => boleto::end(now, days),
        };
        intent.shown = match method.means {
            Means::Boleto { .. } => boleto::line(intent.amount, expires_at, &random),
            Means::Pix | Means::Card => format!("qr.stripe.com/pix/v2/{random}"),
        };
        intent.status = "requires_action";
        intent.expires_at = Some(expires_at);
        intent.last_error = None;
        let email = method.billing["email"]
            .as_str()
            .or(intent.receipt_email.as_deref());
        let wish = self.wish(id, email.unwrap_or_default());
        let live = intent.account.live;
        if let Some(place) = self.state.intents.any_mut(id) {
            *place = intent;
        }
        self.at(expires_at, Due::Expire(id.to_owned()));
        if let Some((seconds, due)) = wish.filter(|_| !live) {
            self.after(seconds, due);
        }
        self.notify_intent("payment_intent.requires_action", id);
    }

    /// Returns the result that an email address requests from the sandbox, and its delay in seconds.
    fn wish(&self, id: &str, email: &str) -> Option<(i64, Due)> {
        let id = id.to_owned();
        let name = email.split('@').next().unwrap_or_default();
        if name.ends_with("succeed_immediately") {
            Some((0, Due::Pay(id)))
        } else if name.ends_with("expire_immediately") {
            Some((0, Due::ExpireNow(id)))
        } else if name.ends_with("expire_with_delay") {
            Some((SANDBOX_DELAY_S, Due::ExpireNow(id)))
        } else if name.is_empty() || name.ends_with("fill_never") {
            None
        } else {
            let after = self.state.behavior.plain_email_pays_after_s;
            after.map(|seconds| (seconds, Due::Pay(id)))
        }
    }

    /// Expires the unpaid attempt. The intent can be confirmed again. `whatever_its_time` expires it before its time.
    pub(super) fn expire_intent(&mut self, id: &str, whatever_its_time: bool) {
        let now = self.now;
        let over = |intent: &&Intent| {
            intent.status == "requires_action"
                && (whatever_its_time || intent.expires_at.is_some_and(|at| at <= now))
        };
        if self.state.intents.any(id).as_ref().is_some_and(over) {
            let message = "The latest payment attempt of the PaymentIntent has expired. You can provide a payment_method and confirm the PaymentIntent again.";
            self.fail_intent(id, json!({
                "type": "invalid_request_error", "code": "payment_intent_payment_attempt_expired", "message": message,
                "doc_url": "https://stripe.com/docs/error-codes/payment-intent-payment-attempt-expired",
            }));
        }
    }

    /// Resets the intent to `requires_payment_method` with an error.
    pub(super) fn fail_intent(&mut self, id: &str, mut error: Value) {
        let state = &mut *self.state;
        let Some(intent) = state.intents.any_mut(id) else {
            return;
        };
        if let Some(method) = intent.method.as_ref().and_then(|id| state.methods.any(id)) {
            error["payment_method"] = method.json();
        }
        intent.status = "requires_payment_method";
        intent.last_error = Some(error);
        self.notify_intent("payment_intent.payment_failed", id);
    }

    pub(super) fn cancel_intent(&mut self, id: &str, reason: Option<&'static str>) {
        let now = self.now;
        if let Some(intent) = self.state.intents.any_mut(id) {
            intent.status = "canceled";
            intent.canceled_at = Some(now);
            intent.cancellation_reason = reason;
        }
        self.notify_intent("payment_intent.canceled", id);
    }

    /// Pays the intent, even after it ended, because money can arrive late.
    pub(super) fn pay_intent(&mut self, id: &str, amount: Option<i64>) {
        let behavior = &self.state.behavior;
        let (clearing_s, pix_processing) = (behavior.clearing_s, behavior.pix_processing);
        let Some(intent) = self.state.intents.any_mut(id) else {
            return;
        };
        intent.received = amount.unwrap_or(intent.amount);
        let kind = intent.types.first().map(String::as_str);
        if kind == Some("boleto") || (kind == Some("pix") && pix_processing) {
            intent.status = "processing";
            self.notify_intent("payment_intent.processing", id);
            if clearing_s > 0 {
                self.after(clearing_s, Due::Clear(id.to_owned()));
                return;
            }
        }
        self.clear_intent(id);
    }

    /// Completes the payment of an intent.
    pub(super) fn clear_intent(&mut self, id: &str) {
        let Some(intent) = self.state.intents.any(id).cloned() else {
            return;
        };
        let charge = Charge::of(self, &intent);
        let charge_id = charge.id.clone();
        self.state.charges.put(charge);
        if let Some(intent) = self.state.intents.any_mut(id) {
            intent.status = "succeeded";
            intent.latest_charge = Some(charge_id.clone());
            intent.last_error = None;
        }
        self.book_charge(&charge_id);
        self.notify_charge("charge.succeeded", &charge_id, None);
        self.notify_intent("payment_intent.succeeded", id);
    }
}
