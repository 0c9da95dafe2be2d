//! Disputes of cards, which can be contested, and of Pix (MED), which cannot.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{
    Stripe,
    account::Account,
    call::{Answer, Call},
    collection::Resource,
    list as lists,
    method::Means,
    state::{Due, State},
    transaction::Transaction,
};

/// Days in which the merchant may respond.
const ANSWER_DAYS: i64 = 7;
/// Fields of the merchant's evidence. All are null in the simulator.
const EVIDENCE: [&str; 27] = [
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

#[derive(Clone)]
pub(super) struct Dispute {
    account: Account,
    pub id: String,
    created_at: DateTime<Utc>,
    amount: i64,
    pub charge: String,
    intent: String,
    pub status: &'static str,
    reason: &'static str,
    bookings: Vec<String>,
    due_at: DateTime<Utc>,
    kind: &'static str,
}

impl Resource for Dispute {
    const NAME: &'static str = "dispute";
    const PARAM: &'static str = "dispute";

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

impl Dispute {
    pub(super) fn is_open(&self) -> bool {
        self.status == "needs_response"
    }

    pub(super) fn json(&self, state: &State, now: DateTime<Utc>) -> Value {
        let bookings = self.bookings.iter().filter_map(|id| state.bookings.any(id));
        let bookings: Vec<_> = bookings.map(|booking| booking.json(now)).collect();
        let mut evidence: Map<_, _> = EVIDENCE
            .iter()
            .map(|name| ((*name).to_owned(), Value::Null))
            .collect();
        evidence.insert("enhanced_evidence".to_owned(), json!({}));
        let details = if self.kind == "card" {
            json!({ "brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4" })
        } else {
            json!({})
        };
        let due_by = (self.kind == "card").then(|| self.due_at.timestamp());
        json!({
            "id": self.id, "object": "dispute", "amount": self.amount, "balance_transactions": bookings, "charge": self.charge,
            "created": self.created_at.timestamp(), "currency": "brl", "enhanced_eligibility_types": [], "evidence": evidence,
            "evidence_details": {
                "due_by": due_by, "enhanced_eligibility": {}, "has_evidence": false, "past_due": due_by.is_some() && self.due_at < now,
                "submission_count": 0,
            },
            "is_charge_refundable": false, "livemode": self.account.live, "metadata": {}, "payment_intent": self.intent,
            "payment_method_details": { self.kind: details, "type": self.kind }, "reason": self.reason, "status": self.status,
        })
    }
}

impl Transaction<'_> {
    /// Opens a dispute by the payer. `amount` is in centavos and defaults to the amount that is not refunded.
    pub(super) fn open_dispute(&mut self, charge: &str, amount: Option<i64>) -> Result<(), String> {
        let charge = self
            .state
            .charges
            .any(charge)
            .cloned()
            .ok_or("it is not paid")?;
        if matches!(charge.means, Means::Boleto { .. }) {
            return Err("a boleto cannot be disputed".to_owned());
        }
        if charge.dispute.is_some() {
            return Err("it is disputed already".to_owned());
        }
        let left = charge.amount - charge.refunded;
        let amount = amount.unwrap_or(left);
        if amount < 1 || amount > left {
            return Err(format!("only {left} centavos are left to dispute"));
        }
        let (id, account) = (self.id("dp"), charge.account.clone());
        let booking = self.api(&account, -amount, ("adjustment", "dispute"), &id);
        let dispute = Dispute {
            account,
            id: id.clone(),
            created_at: self.now,
            amount,
            charge: charge.id.clone(),
            intent: charge.intent.clone(),
            status: "needs_response",
            reason: "fraudulent",
            bookings: vec![booking],
            due_at: self.now + TimeDelta::days(ANSWER_DAYS),
            kind: charge.means.kind(),
        };
        self.state.disputes.put(dispute);
        if let Some(charge) = self.state.charges.any_mut(&charge.id) {
            charge.dispute = Some(id.clone());
        }
        self.notify_dispute("charge.dispute.created", &id);
        self.notify_dispute("charge.dispute.funds_withdrawn", &id);
        if matches!(charge.means, Means::Pix) {
            self.after(
                self.state.behavior.pix_dispute_lost_after_s,
                Due::LoseDispute(id),
            );
        }
        Ok(())
    }

    /// Closes an open dispute.
    pub(super) fn end_dispute(&mut self, id: &str, won: bool) {
        let Some(dispute) = self
            .state
            .disputes
            .any(id)
            .filter(|dispute| dispute.is_open())
            .cloned()
        else {
            return;
        };
        let booking = won.then(|| {
            self.api(
                &dispute.account,
                dispute.amount,
                ("adjustment", "dispute_reversal"),
                id,
            )
        });
        if let Some(dispute) = self.state.disputes.any_mut(id) {
            dispute.status = if won { "won" } else { "lost" };
            dispute.bookings.extend(booking);
        }
        self.notify_dispute("charge.dispute.closed", id);
        if won {
            self.notify_dispute("charge.dispute.funds_reinstated", id);
        }
    }

    /// Closes the dispute of a charge for the control API.
    pub(super) fn close_dispute(&mut self, charge: &str, won: bool) -> Result<(), String> {
        let charge = self.state.charges.any(charge);
        let dispute = charge.and_then(|charge| self.state.disputes.any(charge.dispute.as_ref()?));
        let dispute = dispute.ok_or("it is not disputed")?.clone();
        if won && dispute.kind == "pix" {
            return Err("the dispute of a Pix cannot be contested".to_owned());
        }
        if !dispute.is_open() && (dispute.status == "won") != won {
            return Err(format!("the dispute is {} already", dispute.status));
        }
        self.end_dispute(&dispute.id, won);
        Ok(())
    }

    fn notify_dispute(&mut self, kind: &str, id: &str) {
        if let Some(dispute) = self.state.disputes.any(id) {
            let (account, data) = (dispute.account.clone(), dispute.json(&self.state, self.now));
            self.notify(kind, &account, &json!({ "object": data }));
        }
    }
}

/// Handles `GET /v1/disputes/{id}`.
pub(super) async fn retrieve(
    Shared(stripe): Shared<Arc<Stripe>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    call.only(&[])?;
    let tx = stripe.begin(call.cause.clone());
    let dispute = tx.state.disputes.get(&call.account, &id)?;
    call.answer(&tx, dispute.json(&tx.state, tx.now))
}

/// Handles `GET /v1/disputes`.
pub(super) async fn list(Shared(stripe): Shared<Arc<Stripe>>, call: Call) -> Answer {
    call.only(&[&lists::KNOWN, &["charge", "payment_intent"]])?;
    let tx = stripe.begin(call.cause.clone());
    let is = |name: &str, value: &str| call.form.get(name).is_none_or(|wanted| wanted == value);
    let wanted =
        |dispute: &Dispute| is("charge", &dispute.charge) && is("payment_intent", &dispute.intent);
    let json = |dispute: &Dispute| dispute.json(&tx.state, tx.now);
    let page = lists::page(&call, &tx.state.disputes, "/v1/disputes", wanted, json)?;
    call.answer(&tx, page)
}
