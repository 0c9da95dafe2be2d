//! Refunds. `docs/gateways/stripe.md#refunds`.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{
    Stripe,
    account::Account,
    behavior::RefundEnd,
    call::{Answer, Call},
    charge::Charge,
    collection::Resource,
    errors::ApiError,
    form::Form,
    list as lists,
    method::Means,
    state::Due,
    transaction::Transaction,
};
use crate::sim::decimal;

const KNOWN: [&str; 5] = [
    "payment_intent",
    "charge",
    "amount",
    "reason",
    "metadata[*]",
];
const REASONS: [&str; 3] = ["duplicate", "fraudulent", "requested_by_customer"];
const PIX_DAYS: TimeDelta = TimeDelta::days(90);

#[derive(Clone)]
pub(super) struct Refund {
    account: Account,
    pub id: String,
    created_at: DateTime<Utc>,
    amount: i64,
    pub charge: String,
    intent: String,
    status: &'static str,
    reason: Option<&'static str>,
    metadata: Map<String, Value>,
    booking: String,
    /// Id of the balance transaction that returned the money of a failed refund.
    failure_booking: Option<String>,
    kind: &'static str,
}

impl Resource for Refund {
    const NAME: &'static str = "refund";
    const PARAM: &'static str = "refund";

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

impl Refund {
    pub(super) fn json(&self) -> Value {
        let details = if self.kind == "card" {
            json!({ "reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund" })
        } else {
            json!({})
        };
        let mut refund = json!({
            "id": self.id, "object": "refund", "amount": self.amount, "balance_transaction": self.booking, "charge": self.charge,
            "created": self.created_at.timestamp(), "currency": "brl", "customer": null, "customer_account": null,
            "destination_details": { self.kind: details, "type": self.kind }, "metadata": self.metadata,
            "payment_intent": self.intent, "payment_method": null, "reason": self.reason, "receipt_number": null,
            "source_transfer_reversal": null, "status": self.status, "transfer_reversal": null,
        });
        if let Some(booking) = &self.failure_booking {
            refund["failure_balance_transaction"] = booking.clone().into();
            refund["failure_reason"] = "declined".into();
        }
        refund
    }
}

/// Refund request. The amount is in centavos and defaults to the whole.
pub(super) struct Wish {
    pub amount: Option<i64>,
    pub reason: Option<&'static str>,
    pub metadata: Map<String, Value>,
}

impl Transaction<'_> {
    /// Refunds a charge and returns the refund's id, or the reason why it cannot be refunded.
    pub(super) fn refund(&mut self, charge: &str, request: Wish) -> Result<String, ApiError> {
        let charge = self.state.charges.any(charge).cloned();
        let charge = charge.ok_or_else(|| ApiError::no_such("charge", "charge", ""))?;
        let amount = refundable(&charge, request.amount, self.now)?;
        let (id, account) = (self.id("re"), charge.account.clone());
        let pix = matches!(charge.means, Means::Pix);
        let kind = if pix { "payment_refund" } else { "refund" };
        let booking = self.api(&account, -amount, (kind, "refund"), &id);
        let refund = Refund {
            account,
            id: id.clone(),
            created_at: self.now,
            amount,
            charge: charge.id.clone(),
            intent: charge.intent.clone(),
            status: if pix { "pending" } else { "succeeded" },
            reason: request.reason,
            metadata: request.metadata,
            booking,
            failure_booking: None,
            kind: charge.means.kind(),
        };
        self.state.refunds.put(refund);
        self.change_refunded(&charge.id, amount);
        self.notify_charge(
            "charge.refunded",
            &charge.id,
            Some(json!({ "amount_refunded": charge.refunded })),
        );
        self.notify_refund("refund.created", &id, None);
        let behavior = &self.state.behavior;
        let (seconds, end) = (behavior.pix_refund_settles_after_s, behavior.refunds);
        let fails = end == RefundEnd::Fail || (!pix && end == RefundEnd::FailLater);
        if fails {
            self.after(seconds, Due::FailRefund(id.clone()));
        } else if pix {
            self.after(seconds, Due::SettleRefund(id.clone()));
        }
        Ok(id)
    }

    /// Completes a pending refund.
    pub(super) fn settle_refund(&mut self, id: &str) {
        let Some(refund) = self
            .state
            .refunds
            .any_mut(id)
            .filter(|refund| refund.status == "pending")
        else {
            return;
        };
        refund.status = "succeeded";
        self.notify_refund("refund.updated", id, Some("pending"));
        let behavior = &self.state.behavior;
        if behavior.refunds == RefundEnd::FailLater {
            self.after(
                behavior.pix_refund_settles_after_s,
                Due::FailRefund(id.to_owned()),
            );
        }
    }

    /// Fails a refund, even a successful one, and returns the money to the balance. Returns false if no such refund can fail.
    pub(super) fn fail_refund(&mut self, id: &str) -> bool {
        let Some(refund) = self
            .state
            .refunds
            .any(id)
            .filter(|refund| refund.status != "failed")
        else {
            return false;
        };
        let (refund, before) = (refund.clone(), refund.status);
        let booking = self.api(
            &refund.account,
            refund.amount,
            ("refund_failure", "refund_failure"),
            id,
        );
        if let Some(refund) = self.state.refunds.any_mut(id) {
            refund.status = "failed";
            refund.failure_booking = Some(booking);
        }
        self.change_refunded(&refund.charge, -refund.amount);
        self.notify_refund("refund.updated", id, Some(before));
        self.notify_refund("refund.failed", id, None);
        true
    }

    fn change_refunded(&mut self, charge: &str, by: i64) {
        if let Some(charge) = self.state.charges.any_mut(charge) {
            charge.refunded += by;
        }
    }

    fn notify_refund(&mut self, kind: &str, id: &str, before: Option<&str>) {
        if let Some(refund) = self.state.refunds.any(id) {
            let (account, mut data) = (refund.account.clone(), json!({ "object": refund.json() }));
            if let Some(before) = before {
                data["previous_attributes"] = json!({ "status": before });
            }
            self.notify(kind, &account, &data);
        }
    }
}

/// Returns the amount to refund in centavos, or the reason why the charge cannot be refunded.
fn refundable(charge: &Charge, wanted: Option<i64>, now: DateTime<Utc>) -> Result<i64, ApiError> {
    let id = &charge.id;
    let left = charge.amount - charge.refunded;
    let refuse = |code, message| Err(ApiError::state(code, message));
    if matches!(charge.means, Means::Boleto { .. }) {
        let message = format!("Charge {id} was paid by boleto and cannot be refunded.");
        return refuse(Some("charge_not_refundable"), message);
    }
    if charge.dispute.is_some() {
        let message = format!("Charge {id} has been charged back; cannot issue a refund.");
        return refuse(Some("charge_disputed"), message);
    }
    if left <= 0 {
        let message = format!("Charge {id} has already been refunded.");
        return refuse(Some("charge_already_refunded"), message);
    }
    if matches!(charge.means, Means::Pix) && now > charge.created_at + PIX_DAYS {
        let message = format!(
            "Charge {id} is more than {} days old and cannot be refunded.",
            PIX_DAYS.num_days()
        );
        return refuse(Some("charge_not_refundable"), message);
    }
    let amount = wanted.unwrap_or(left);
    if amount > left {
        let money = |amount: i64| format!("R${}", decimal(amount));
        let message = format!(
            "Refund amount ({}) is greater than unrefunded amount on charge ({})",
            money(amount),
            money(left)
        );
        return Err(ApiError::state(None, message).param("amount"));
    }
    Ok(amount)
}

/// Handles `POST /v1/refunds`.
pub(super) async fn create(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[&KNOWN])?;
    let form = &call.form;
    let amount = form.number("amount")?;
    if amount.is_some_and(|amount| amount < 1) {
        let message = "This value must be greater than or equal to 1.";
        return Err(ApiError::invalid(
            Some("parameter_invalid_integer"),
            "amount",
            message,
        ));
    }
    let request = Wish {
        amount,
        reason: form.word("reason", &REASONS)?,
        metadata: form.metadata("metadata")?,
    };
    let mut tx = stripe.begin(call.cause.clone());
    let charge = charge_of(&tx, &call.account, form)?;
    let id = tx.refund(&charge, request)?;
    let refund = tx.state.refunds.get(&call.account, &id)?;
    call.answer(&tx, refund.json())
}

/// Returns the charge that the form names, or the charge of its intent.
fn charge_of(tx: &Transaction, account: &Account, form: &Form) -> Result<String, ApiError> {
    if let Some(id) = form.get("charge") {
        let charge = tx.state.charges.find(account, id);
        return charge
            .map(|charge| charge.id.clone())
            .ok_or_else(|| ApiError::no_such("charge", "charge", id));
    }
    let Some(id) = form.get("payment_intent") else {
        let message = "One of the following params should be provided for this request: payment_intent or charge.";
        return Err(ApiError::invalid(
            Some("parameter_missing"),
            "payment_intent",
            message,
        ));
    };
    let intent = tx.state.intents.find(account, id);
    let intent = intent.ok_or_else(|| ApiError::no_such("payment_intent", "payment_intent", id))?;
    let paid = intent
        .latest_charge
        .clone()
        .filter(|_| intent.status == "succeeded");
    paid.ok_or_else(|| {
        let message =
            format!("This PaymentIntent ({id}) does not have a successful charge to refund.");
        ApiError::state(Some("payment_intent_unexpected_state"), message)
    })
}

/// Handles `GET /v1/refunds/{id}`.
pub(super) async fn retrieve(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[])?;
    let tx = stripe.begin(call.cause.clone());
    let refund = tx.state.refunds.get(&call.account, &id)?;
    call.answer(&tx, refund.json())
}

/// Handles `GET /v1/refunds`.
pub(super) async fn list(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[&lists::KNOWN, &["charge", "payment_intent"]])?;
    let tx = stripe.begin(call.cause.clone());
    let is = |name: &str, value: &str| call.form.get(name).is_none_or(|wanted| wanted == value);
    let wanted =
        |refund: &Refund| is("charge", &refund.charge) && is("payment_intent", &refund.intent);
    let page = lists::page(
        &call,
        &tx.state.refunds,
        "/v1/refunds",
        wanted,
        Refund::json,
    )?;
    call.answer(&tx, page)
}
