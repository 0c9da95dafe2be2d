//! Refunds. `docs/gateways/asaas.md#refunds`.

use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    Asaas,
    answer::{Answer, Refusal, Sent, about, centavos, local, ok, page, reais, text},
    behavior::RefundStart,
    lifecycle::{Moment, end_to_end},
    limits::Account,
    payment::{Billing, Payment},
};

/// Time after the payment during which a Pix can be refunded.
const PIX_REFUNDABLE: TimeDelta = TimeDelta::days(90);
const AUTHORIZATION: &str = "AWAITING_CRITICAL_ACTION_AUTHORIZATION";
const BANK_DETAILS: &str = "AWAITING_CUSTOMER_EXTERNAL_AUTHORIZATION";

#[derive(Clone)]
pub(super) struct Refund {
    created_at: DateTime<Utc>,
    pub status: &'static str,
    pub value: i64,
    e2e: Option<String>,
    description: Option<String>,
    effective_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
}

/// Refund request.
pub(super) struct Wanted {
    value: i64,
    description: Option<String>,
}

impl From<i64> for Wanted {
    fn from(value: i64) -> Self {
        Self {
            value,
            description: None,
        }
    }
}

impl Refund {
    pub(super) fn json(&self) -> Value {
        let receipt = "https://sandbox.asaas.com/comprovantes/estorno";
        json!({
            "dateCreated": local(self.created_at), "status": self.status, "value": reais(self.value),
            "endToEndIdentifier": self.e2e, "description": self.description,
            "effectiveDate": self.effective_at.map(local), "transactionReceiptUrl": self.effective_at.map(|_| receipt),
        })
    }

    fn is_open(&self) -> bool {
        !matches!(self.status, "DONE" | "CANCELLED")
    }
}

impl Payment {
    /// Returns the amount of completed refunds in centavos.
    pub(super) fn refunded(&self) -> i64 {
        let done = self.refunds.iter().filter(|one| one.status == "DONE");
        done.map(|one| one.value).sum()
    }

    /// Returns the amount that is neither refunded nor in an open refund, in centavos.
    fn refundable(&self) -> i64 {
        let held = self.refunds.iter().filter(|one| one.status != "CANCELLED");
        self.amount - held.map(|one| one.value).sum::<i64>()
    }

    /// Creates a refund with this status. A full refund also changes the payment's status.
    fn begin_refund(&mut self, wanted: Wanted, status: &'static str, moment: &mut Moment) {
        let Wanted { value, description } = wanted;
        let pending = status == "PENDING";
        let after = moment.behavior.refund_end_s.filter(|_| pending);
        let ends_at = after.map(|seconds| moment.now + TimeDelta::seconds(seconds));
        let full = value == self.refundable();
        self.refunds.push(Refund {
            created_at: moment.now,
            status,
            value,
            e2e: None,
            description,
            effective_at: None,
            ends_at,
        });
        if full {
            self.before_refund = Some(self.status);
            self.status = if pending {
                "REFUND_IN_PROGRESS"
            } else {
                "REFUND_REQUESTED"
            };
        }
        if pending {
            moment.notify("PAYMENT_REFUND_IN_PROGRESS", self);
        }
        if let Some(at) = ends_at {
            moment.schedule(at, &self.id);
        }
    }

    /// Refunds at once, without a pending status.
    pub(super) fn give_back(&mut self, wanted: impl Into<Wanted>, moment: &mut Moment) {
        self.begin_refund(wanted.into(), "DONE", moment);
        let last = self.refunds.len() - 1;
        self.complete(last, moment);
    }

    fn complete(&mut self, at: usize, moment: &mut Moment) {
        let e2e = (self.billing == Billing::Pix).then(|| end_to_end('D', moment));
        let refund = &mut self.refunds[at];
        refund.status = "DONE";
        refund.effective_at = Some(moment.now);
        refund.e2e = e2e;
        if self.refunded() == self.amount {
            self.status = "REFUNDED";
            moment.notify("PAYMENT_REFUNDED", self);
        } else {
            moment.notify("PAYMENT_PARTIALLY_REFUNDED", self);
        }
    }

    /// Completes every refund that is due.
    pub(super) fn end_due_refunds(&mut self, moment: &mut Moment) {
        for at in 0..self.refunds.len() {
            let refund = &self.refunds[at];
            if refund.is_open() && refund.ends_at.is_some_and(|ends| ends <= moment.now) {
                self.complete(at, moment);
            }
        }
    }

    /// Ends the oldest open refund for the control API.
    pub(super) fn end_refund(&mut self, done: bool, moment: &mut Moment) -> Result<(), String> {
        let open = self.refunds.iter().position(Refund::is_open);
        let at = open.ok_or("no refund is open")?;
        if done {
            self.complete(at, moment);
            return Ok(());
        }
        self.refunds[at].status = "CANCELLED";
        if let Some(before) = self.before_refund.take() {
            self.status = before;
        }
        if self.billing == Billing::Boleto {
            moment.notify("PAYMENT_REFUND_DENIED", self);
        }
        Ok(())
    }

    /// Refunds the payment from the merchant's dashboard.
    pub(super) fn refund(&mut self, value: Option<i64>, moment: &mut Moment) -> Result<(), String> {
        let left = self.refundable();
        let value = value.unwrap_or(left);
        if !matches!(self.status, "CONFIRMED" | "RECEIVED") || value < 1 || value > left {
            return Err(format!("it is {}, and {left} is left", self.status));
        }
        self.give_back(value, moment);
        Ok(())
    }

    /// Returns the amount to refund, or the reason why it cannot be refunded. The checks run in Asaas's order.
    fn check_refund(&self, value: Option<i64>, moment: &Moment) -> Result<i64, Refusal> {
        let paid = matches!(
            (self.billing, self.status),
            (Billing::Pix, "RECEIVED") | (Billing::CreditCard, "CONFIRMED" | "RECEIVED")
        );
        if !paid {
            return Err(Refusal::action("Esta cobrança não pode ser estornada."));
        }
        let old = self
            .paid_at
            .is_some_and(|at| moment.now - at > PIX_REFUNDABLE);
        if self.billing == Billing::Pix && old {
            return Err(Refusal::action(
                "O prazo para estorno desta cobrança expirou.",
            ));
        }
        let (value, left) = (value.unwrap_or(self.refundable()), self.refundable());
        if value < 1 || value > left {
            return Err(Refusal::of(
                "invalid_value",
                "O valor do estorno deve ser maior que zero e no máximo o valor disponível da cobrança.",
            ));
        }
        Ok(value)
    }
}

/// Handles `POST /v3/payments/{id}/refund`, for Pix and card.
pub(super) async fn create(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
    Sent(sent): Sent,
) -> Answer {
    let value = match sent.get("value").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => Some(centavos(value).ok_or(Refusal::of(
            "invalid_value",
            "O valor do estorno é inválido.",
        ))?),
    };
    asaas.payment(&account, &id)?;
    let balance = asaas.balance(&account);
    let payment = asaas.on(&id, true, |payment, moment| {
        let value = payment.check_refund(value, moment)?;
        if moment.behavior.refund_needs_balance && balance < value {
            return Err(Refusal::action(
                "Saldo insuficiente para realizar o estorno.",
            ));
        }
        let description = text(&sent, "description");
        let wanted = Wanted { value, description };
        match moment.behavior.refund {
            RefundStart::Done => payment.give_back(wanted, moment),
            RefundStart::Pending => payment.begin_refund(wanted, "PENDING", moment),
            RefundStart::AwaitingAuthorization => {
                payment.begin_refund(wanted, AUTHORIZATION, moment);
            }
        }
        Ok(())
    })?;
    Ok(about(payment.reference.as_ref(), payment.json()))
}

/// Handles `POST /v3/payments/{id}/bankSlip/refund`: returns a page where the payer enters the account that receives the money.
pub(super) async fn of_slip(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    asaas.payment(&account, &id)?;
    asaas.on(&id, true, |payment, moment| {
        let paid = matches!(payment.status, "CONFIRMED" | "RECEIVED");
        if payment.billing != Billing::Boleto || !paid {
            return Err(Refusal::action("Este boleto não pode ser estornado."));
        }
        payment.begin_refund(payment.refundable().into(), BANK_DETAILS, moment);
        Ok(())
    })?;
    let url = format!("https://sandbox.asaas.com/refund/{}", asaas.sim.random(16));
    Ok(ok(json!({ "requestUrl": url })))
}

/// Handles `GET /v3/payments/{id}/refunds`.
pub(super) async fn list(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    let payment = asaas.payment(&account, &id)?;
    let newest: Vec<_> = payment.refunds.iter().rev().collect();
    Ok(ok(page(&[], &newest, |refund| refund.json())))
}
