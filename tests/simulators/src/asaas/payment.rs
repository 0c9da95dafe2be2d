//! Payment (the product's charge) and its JSON.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    answer::{beginning, day, reais},
    boleto,
    lifecycle::Dispute,
    refund::Refund,
    terms::Terms,
};

/// Fee for a Pix or boleto, in centavos.
const FEE: i64 = 199;
/// Fee for a card payment: fixed part in centavos, and variable part in basis points.
const CARD_FEE: (i64, i64) = (49, 299);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Billing {
    Pix,
    Boleto,
    CreditCard,
    /// The payer chooses the method.
    Undefined,
}

impl Billing {
    pub(super) fn read(text: &str) -> Option<Self> {
        [Self::Pix, Self::Boleto, Self::CreditCard, Self::Undefined]
            .into_iter()
            .find(|billing| billing.word() == text)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pix => "PIX",
            Self::Boleto => "BOLETO",
            Self::CreditCard => "CREDIT_CARD",
            Self::Undefined => "UNDEFINED",
        }
    }

    /// Returns the method in the control API's terms.
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Pix | Self::Undefined => "pix",
            Self::Boleto => "boleto",
            Self::CreditCard => "card",
        }
    }

    pub(super) fn has_slip(self) -> bool {
        matches!(self, Self::Boleto | Self::Undefined)
    }
}

/// Fields that a merchant may change while the payment is unpaid.
#[derive(Clone)]
pub(super) struct Asked {
    pub billing: Billing,
    pub amount: i64,
    pub due: NaiveDate,
    pub description: Option<String>,
    pub reference: Option<String>,
    pub terms: Terms,
    /// Days after the due date at whose end the boleto's registration is canceled.
    pub slip_days: Option<i64>,
}

/// Position of a payment in an installment plan.
#[derive(Clone)]
pub(super) struct Installment {
    pub plan: String,
    pub n: u32,
}

#[derive(Clone)]
pub(super) struct Payment {
    pub account: String,
    pub id: String,
    pub number: u64,
    pub customer: String,
    pub asked: Asked,
    pub original_due: NaiveDate,
    /// Requested amount, if a different amount was paid.
    pub original: Option<i64>,
    pub status: &'static str,
    pub deleted: bool,
    pub created_at: DateTime<Utc>,
    pub paid_at: Option<DateTime<Utc>>,
    /// Time since which the money is in the balance, or of the receipt in cash.
    pub received_at: Option<DateTime<Utc>>,
    /// Time from which the money is in the balance.
    pub credit_at: Option<DateTime<Utc>>,
    pub by_hand: bool,
    pub slip_cancelled: bool,
    pub installment: Option<Installment>,
    pub checkout: Option<String>,
    pub link: Option<String>,
    /// Id and `endToEndIdentifier` of the Pix that paid the charge.
    pub pix: Option<(String, String)>,
    pub refunds: Vec<Refund>,
    /// Status before a full refund.
    pub before_refund: Option<&'static str>,
    pub dispute: Option<Dispute>,
    pub location: String,
    pub service_us: u64,
}

impl std::ops::Deref for Payment {
    type Target = Asked;

    fn deref(&self) -> &Asked {
        &self.asked
    }
}

impl Payment {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.status, "PENDING" | "OVERDUE")
    }

    pub(super) fn is_payable(&self) -> bool {
        let by_slip_alone = self.billing == Billing::Boleto && self.slip_cancelled;
        !self.deleted && self.is_open() && !by_slip_alone
    }

    /// Returns the amount that the merchant receives after fees, in centavos.
    pub(super) fn net(&self) -> i64 {
        let (fixed, part) = CARD_FEE;
        match self.billing {
            Billing::CreditCard => self.amount - fixed - (self.amount * part + 5_000) / 10_000,
            _ => self.amount - FEE,
        }
    }

    /// Returns the time from which the boleto can no longer be paid.
    pub(super) fn slip_ends(&self) -> Option<DateTime<Utc>> {
        let days = self.slip_days.filter(|_| self.billing.has_slip())?;
        Some(beginning(self.due + TimeDelta::days(days + 1)))
    }

    pub(super) fn barcode(&self) -> String {
        boleto::barcode(self.number, self.due, self.amount)
    }

    fn short(&self) -> &str {
        self.id.trim_start_matches("pay_")
    }

    /// Returns the payment with every possible key, in Asaas's order.
    fn full(&self) -> Value {
        let mut json = self.money();
        if let (Some(first), Value::Object(rest)) = (json.as_object_mut(), self.papers()) {
            first.extend(rest);
        }
        json
    }

    fn money(&self) -> Value {
        let paid_on = self.paid_at.map(day);
        let interest = self.original.map(|original| self.amount - original);
        json!({
            "object": "payment", "id": self.id, "dateCreated": day(self.created_at), "customer": self.customer,
            "installment": self.installment.as_ref().map(|one| &one.plan),
            "checkoutSession": self.checkout, "paymentLink": self.link, "value": reais(self.amount), "netValue": reais(self.net()),
            "originalValue": self.original.map(reais), "interestValue": interest.filter(|interest| *interest > 0).map(reais),
            "description": self.description, "billingType": self.billing.word(), "confirmedDate": paid_on, "creditCard": self.card(),
            "canBePaidAfterDueDate": self.slip_days != Some(0), "pixTransaction": self.pix.as_ref().map(|(id, _)| id),
            "status": self.status, "dueDate": self.due.to_string(), "originalDueDate": self.original_due.to_string(),
            "paymentDate": self.received_at.map(day), "clientPaymentDate": paid_on,
            "installmentNumber": self.installment.as_ref().map(|one| one.n),
        })
    }

    fn papers(&self) -> Value {
        let (short, slip) = (self.short(), self.billing.has_slip());
        let receipt = format!("https://sandbox.asaas.com/comprovantes/{short}");
        let refunds: Vec<_> = self.refunds.iter().map(Refund::json).collect();
        json!({
            "invoiceUrl": format!("https://sandbox.asaas.com/i/{short}"), "invoiceNumber": self.number.to_string(),
            "externalReference": self.reference, "deleted": self.deleted, "anticipated": false, "anticipable": false,
            "creditDate": self.received_at.map(day), "estimatedCreditDate": self.credit_at.map(day),
            "transactionReceiptUrl": self.paid_at.map(|_| receipt), "nossoNumero": slip.then(|| self.number.to_string()),
            "bankSlipUrl": slip.then(|| format!("https://sandbox.asaas.com/b/pdf/{short}")),
            "lastInvoiceViewedDate": null, "lastBankSlipViewedDate": null, "discount": self.terms.discount, "fine": self.terms.fine,
            "interest": self.terms.interest, "postalService": false, "escrow": null,
            "refunds": if refunds.is_empty() { Value::Null } else { refunds.into() },
        })
    }

    fn card(&self) -> Value {
        if self.paid_at.is_none() {
            return Value::Null;
        }
        json!({ "creditCardNumber": "8829", "creditCardBrand": "VISA", "creditCardToken": null })
    }

    /// Returns the payment without the keys that do not apply to it. Applicable keys may be null.
    pub(super) fn json(&self) -> Value {
        let mut json = self.full();
        let is_card = self.billing == Billing::CreditCard;
        let applies = [
            ("installment", self.installment.is_some()),
            ("confirmedDate", is_card || self.paid_at.is_some()),
            ("creditCard", is_card),
            ("canBePaidAfterDueDate", self.billing.has_slip()),
        ];
        if let Some(fields) = json.as_object_mut() {
            for (name, _) in applies.iter().filter(|(_, applies)| !applies) {
                fields.shift_remove(*name);
            }
        }
        json
    }
}
