//! Charges of the API Cobranças, mapped to our types.

use schemas::{
    Instant, attempt::ErrorClass, calendar, dispute, next_action::NextAction,
    payment_method::PaymentMethodKind,
};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::disputes::chargeback;
use crate::{
    GatewayCharge, GatewayError, GatewayPayment, GatewayRefund, GatewayStatus, RefundStatus, local,
};

pub(in crate::efi::cobrancas) mod line;
pub(in crate::efi::cobrancas) mod status;

/// Envelope of every answer.
#[derive(Debug, Deserialize)]
pub(super) struct Data<T> {
    pub data: T,
}

/// Charge of the API Cobranças. The answer to creating it has its instrument beside it, the answer to reading it inside. Fields that
/// we do not need are not read, so that they cannot break anything.
#[derive(Debug, Deserialize)]
pub(super) struct Charge {
    #[serde(rename = "charge_id")]
    pub id: u64,
    status: String,
    total: i64,
    custom_id: Option<String>,
    pub created_at: Option<String>,
    payment: Option<Payment>,
    /// Payment link; in the answer to creating a boleto, the address of its page.
    #[serde(default, deserialize_with = "if_object")]
    link: Option<Instrument>,
    #[serde(flatten)]
    beside: Instrument,
}

/// `payment`: text in the answer to creating, an object in the answer to reading.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Payment {
    Method(String),
    Read {
        method: Option<String>,
        banking_billet: Option<Box<Instrument>>,
        credit_card: Option<CreditCard>,
    },
}

#[derive(Debug, Deserialize)]
struct CreditCard {
    installments: Option<u16>,
}

/// Instrument with which the payer pays.
#[derive(Debug, Default, Deserialize)]
struct Instrument {
    barcode: Option<String>,
    pdf: Option<Pdf>,
    pix: Option<Bolix>,
    payment_url: Option<String>,
    payment_method: Option<String>,
    expire_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Pdf {
    charge: Option<String>,
}

/// Pix code of a boleto, if the account has it.
#[derive(Debug, Deserialize)]
struct Bolix {
    qrcode: Option<String>,
}

/// Parses an instrument. A value that is no object is no instrument.
fn if_object<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Instrument>, D::Error> {
    let value = Value::deserialize(reader)?;
    Ok(value
        .is_object()
        .then(|| serde_json::from_value(value).ok())
        .flatten())
}

/// Payment data that the answer to reading a charge does not contain.
#[derive(Debug, Default)]
pub(super) struct Money {
    pub method: Option<String>,
    pub amount: Option<i64>,
    pub paid_at: Option<Instant>,
    pub settled_on: Option<chrono::NaiveDate>,
    /// True if the card's owner disputed the payment at some time.
    pub was_contested: bool,
}

impl Charge {
    fn method(&self) -> PaymentMethodKind {
        let reported = match &self.payment {
            Some(Payment::Method(method)) => Some(method),
            Some(Payment::Read { method, .. }) => method.as_ref(),
            None => None,
        };
        let reported = reported.or(self.instrument().payment_method.as_ref());
        match reported.map(String::as_str) {
            Some("credit_card") => PaymentMethodKind::Card,
            _ => PaymentMethodKind::Boleto,
        }
    }

    fn instrument(&self) -> &Instrument {
        match (&self.payment, &self.link) {
            (
                Some(Payment::Read {
                    banking_billet: Some(boleto),
                    ..
                }),
                _,
            ) => boleto,
            (_, Some(link)) => link,
            _ => &self.beside,
        }
    }

    fn status(&self) -> Result<GatewayStatus, GatewayError> {
        status::status(&self.status, self.method())
            .ok_or_else(|| unreadable("the charge has a status that is not known"))
    }

    /// Returns true if it received money, so that the payment's data must be read too.
    pub(super) fn has_money(&self) -> bool {
        self.status().is_ok_and(status::has_money)
    }

    pub(super) fn custom_id(&self) -> Option<&str> {
        self.custom_id.as_deref()
    }

    /// Returns the charge. `expires_at`: its last payable instant, if the caller knows it more exactly.
    pub(super) fn to_charge(
        &self,
        expires_at: Option<Instant>,
        money: &Money,
    ) -> Result<GatewayCharge, GatewayError> {
        let status = self.status()?;
        let id = self.id.to_string();
        let mut charge = GatewayCharge {
            reference: self.custom_id.clone(),
            status,
            next_action: self.next_action(status, expires_at),
            ..GatewayCharge::known(&id, &id, self.total)
        };
        if !status::has_money(status) {
            return Ok(charge);
        }
        let payment = self.payment(money)?;
        match status {
            GatewayStatus::Refunded => charge.refunds.push(whole_refund(&payment)),
            GatewayStatus::Disputed => {
                let open = dispute::DisputeStatus::NeedsResponse;
                charge.disputes.push(chargeback(&payment, open));
            }
            _ if money.was_contested => {
                let won = dispute::DisputeStatus::Won;
                charge.disputes.push(chargeback(&payment, won));
            }
            _ => {}
        }
        charge.payments.push(payment);
        Ok(charge)
    }

    fn next_action(
        &self,
        status: GatewayStatus,
        expires_at: Option<Instant>,
    ) -> Option<NextAction> {
        if !status.is_payable() {
            return None;
        }
        let instrument = self.instrument();
        let last_day = instrument.expire_at.as_deref().and_then(local::day);
        let expires_at = expires_at.or(last_day.map(calendar::end_of))?;
        if let Some(url) = &instrument.payment_url {
            let url = url.clone();
            return Some(NextAction::Redirect { url, expires_at });
        }
        let (line, barcode) = line::read(instrument.barcode.as_deref()?)?;
        let pix = self.beside.pix.as_ref().or(instrument.pix.as_ref());
        Some(NextAction::Boleto {
            line,
            barcode,
            pdf_url: instrument.pdf.as_ref().and_then(|pdf| pdf.charge.clone()),
            copy_paste: pix.and_then(|pix| pix.qrcode.clone()),
            expires_at,
        })
    }

    /// Returns the payment. A charge is paid once, so its own id is the payment's.
    fn payment(&self, money: &Money) -> Result<GatewayPayment, GatewayError> {
        let created_at = self.created_at.as_deref().and_then(local::instant);
        let installments = match &self.payment {
            Some(Payment::Read { credit_card, .. }) => {
                credit_card.as_ref().and_then(|card| card.installments)
            }
            _ => None,
        };
        Ok(GatewayPayment {
            id: self.id.to_string(),
            end_to_end_id: None,
            amount: money.amount.unwrap_or(self.total),
            method: match money.method.as_deref() {
                Some("pix") => PaymentMethodKind::Pix,
                _ => self.method(),
            },
            fee: None,
            net: None,
            installments,
            settles_on: None,
            settled_on: money.settled_on,
            paid_at: money
                .paid_at
                .or(created_at)
                .ok_or_else(|| unreadable("the charge has no time of payment"))?,
        })
    }
}

/// Returns the refund that the status `refunded` implies: the whole amount, requested by us or by others.
fn whole_refund(payment: &GatewayPayment) -> GatewayRefund {
    GatewayRefund {
        id: whole_refund_id(&payment.id),
        reference: None,
        payment: payment.id.clone(),
        amount: payment.amount,
        status: RefundStatus::Succeeded,
        reason: None,
        created_at: None,
    }
}

/// Returns the id of a whole refund. It does not depend on who requested it, so the refund is reported once.
pub(super) fn whole_refund_id(payment: &str) -> String {
    format!("{payment}/refunded")
}

fn unreadable(what: &'static str) -> GatewayError {
    GatewayError::new(ErrorClass::Unknown, "unreadable", what)
}
