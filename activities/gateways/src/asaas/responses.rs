//! Payments of Asaas, mapped to our types. `docs/gateways/asaas.md#payments-fees-and-settlement`.

use chrono::NaiveDate;
use schemas::{Instant, attempt::ErrorClass, calendar, payment_method::PaymentMethodKind};
use serde::Deserialize;
use serde_json::{Number, Value};

use super::{
    errors::UNREADABLE,
    refunds::{self, Refund},
    requests::billing_type,
};
use crate::{
    ChargeRequest, GatewayCharge, GatewayError, GatewayPayment, GatewayStatus,
    local::{day, instant},
    money,
};

pub(in crate::asaas) mod instrument;
pub(in crate::asaas) mod status;

/// Length of an end-to-end id in characters.
const END_TO_END_ID: usize = 32;

/// Payment of Asaas. Fields that we do not need are not read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payment {
    pub id: String,
    pub status: String,
    pub value: Number,
    /// Requested amount, if another amount was paid.
    original_value: Option<Number>,
    net_value: Option<Number>,
    billing_type: Option<String>,
    customer: Option<String>,
    pub external_reference: Option<String>,
    #[serde(default)]
    pub deleted: bool,
    /// Asaas's page for the payer.
    pub invoice_url: Option<String>,
    pub bank_slip_url: Option<String>,
    pix_transaction: Option<Value>,
    installment: Option<Value>,
    confirmed_date: Option<String>,
    client_payment_date: Option<String>,
    /// Day on which the money arrived in the balance.
    #[serde(rename = "paymentDate")]
    received_date: Option<String>,
    credit_date: Option<String>,
    estimated_credit_date: Option<String>,
    date_created: Option<String>,
    refunds: Option<Vec<Refund>>,
}

impl Payment {
    pub(super) fn is_of(&self, reference: &str) -> bool {
        self.external_reference.as_deref() == Some(reference)
    }

    /// Returns true if it has the order's method, and so can be shown as the order requires.
    pub(super) fn is_by(&self, method: PaymentMethodKind) -> bool {
        self.billing_type.as_deref() == Some(billing_type(method))
    }

    /// Returns true if it was created from the order.
    pub(super) fn is_for(&self, order: &ChargeRequest) -> bool {
        !self.deleted && self.is_by(order.method.kind()) && self.asked() == Some(order.amount)
    }

    /// Returns the charge without its instrument. `reported_at`: time of the event that reported the payment.
    pub(super) fn to_charge(
        &self,
        reported_at: Option<Instant>,
    ) -> Result<GatewayCharge, GatewayError> {
        let status = status::of_payment(&self.status, self.deleted)
            .ok_or_else(|| unreadable("the payment has a status that is not known"))?;
        let unreadable_sum = || unreadable("the payment's value is not readable");
        let received = matches!(
            status,
            GatewayStatus::Paid | GatewayStatus::Refunded | GatewayStatus::Disputed
        );
        let payments = if received {
            vec![self.received(reported_at)?]
        } else {
            Vec::new()
        };
        let refunds = refunds::of_payment(&self.id, self.refunds.as_deref().unwrap_or_default());
        let mut refunds = refunds.ok_or_else(unreadable_sum)?;
        if status == GatewayStatus::Refunded {
            let whole = money::of_number(&self.value).ok_or_else(unreadable_sum)?;
            refunds.extend(refunds::rest(&self.id, whole, &refunds));
        }
        Ok(GatewayCharge {
            id: self.id.clone(),
            reference: self.external_reference.clone(),
            status,
            amount: self.asked().ok_or_else(unreadable_sum)?,
            next_action: None,
            payments,
            customer: self.customer.clone(),
            refunds,
            disputes: self.dispute().into_iter().collect(),
        })
    }

    /// Returns the last day on which its money moved, as far as Asaas reports it.
    pub(super) fn changed_on(&self) -> Option<NaiveDate> {
        let paid = [
            &self.client_payment_date,
            &self.confirmed_date,
            &self.received_date,
        ];
        let paid = paid.into_iter().flatten().filter_map(|text| day(text));
        let refunds = self.refunds.as_deref().unwrap_or_default();
        paid.chain(refunds.iter().filter_map(Refund::changed_on))
            .max()
    }

    fn asked(&self) -> Option<i64> {
        money::of_number(self.original_value.as_ref().unwrap_or(&self.value))
    }

    /// Returns the payment that this object represents once it is paid: `CONFIRMED` and then `RECEIVED` report the same one.
    fn received(&self, reported_at: Option<Instant>) -> Result<GatewayPayment, GatewayError> {
        let amount = money::of_number(&self.value)
            .ok_or_else(|| unreadable("the payment's value is not readable"))?;
        let net = self.net_value.as_ref().and_then(money::of_number);
        let method = self.method();
        let is_single = method == PaymentMethodKind::Card && self.installment.is_none();
        Ok(GatewayPayment {
            id: self.id.clone(),
            end_to_end_id: self.end_to_end_id(),
            amount,
            method,
            fee: net.map(|net| amount - net).filter(|fee| *fee >= 0),
            net,
            installments: is_single.then_some(1),
            settles_on: self.estimated_credit_date.as_deref().and_then(day),
            settled_on: self.settled_on(),
            paid_at: self
                .paid_at(reported_at)
                .ok_or_else(|| unreadable("the payment has no readable date"))?,
        })
    }

    /// Returns the method that was used: a boleto may be paid by its Pix code.
    pub(super) fn method(&self) -> PaymentMethodKind {
        match self.billing_type.as_deref() {
            _ if self.pix_transaction.is_some() => PaymentMethodKind::Pix,
            Some("BOLETO") => PaymentMethodKind::Boleto,
            Some("CREDIT_CARD" | "DEBIT_CARD") => PaymentMethodKind::Card,
            // a transfer or deposit has no name of its own here
            _ => PaymentMethodKind::Pix,
        }
    }

    /// Returns the end-to-end id. Asaas may send its own id of the Pix instead; the format distinguishes them.
    fn end_to_end_id(&self) -> Option<String> {
        let id = self.pix_transaction.as_ref()?.as_str()?;
        let fits = id.len() == END_TO_END_ID
            && id.starts_with('E')
            && id.chars().all(|c| c.is_ascii_alphanumeric());
        fits.then(|| id.to_owned())
    }

    fn settled_on(&self) -> Option<NaiveDate> {
        let received = self.received_date.as_deref().and_then(day)?;
        match self.status.as_str() {
            // not in the balance yet, or never: paid in cash to the merchant
            "CONFIRMED" | "RECEIVED_IN_CASH" => None,
            _ => self.credit_date.as_deref().and_then(day).or(Some(received)),
        }
    }

    /// Returns the time of payment. The payment has only the day; an event of that day is more exact. A later event (`RECEIVED` after a
    /// month) is not used.
    fn paid_at(&self, reported_at: Option<Instant>) -> Option<Instant> {
        let dates = [
            &self.client_payment_date,
            &self.confirmed_date,
            &self.received_date,
            &self.date_created,
        ];
        let on = dates.into_iter().flatten().find_map(|text| instant(text));
        let same_day = |reported: &Instant| {
            on.is_none_or(|on| calendar::today(*reported) == calendar::today(on))
        };
        reported_at.filter(same_day).or(on)
    }
}

pub(super) fn unreadable(what: &str) -> GatewayError {
    GatewayError::new(ErrorClass::Unknown, UNREADABLE, what)
}

#[cfg(test)]
mod tests;
