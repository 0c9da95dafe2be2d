//! `PaymentIntent`s of Stripe, mapped to our types.

use std::collections::BTreeMap;

use schemas::payment_method::PaymentMethodKind;
use serde::Deserialize;

use super::{
    requests::calls::unreadable,
    responses::payment::{Charge, instant},
};
use crate::{GatewayCharge, GatewayError, GatewayPayment, GatewayStatus};

pub(in crate::stripe) mod instrument;
pub(in crate::stripe) mod payment;
pub(in crate::stripe) mod read;
pub(in crate::stripe) mod session;

use instrument::Action;

/// Code of the last error of an intent whose Pix or boleto was not paid in time.
const ATTEMPT_EXPIRED: &str = "payment_intent_payment_attempt_expired";

/// Intent of Stripe. Fields that we do not need are not read.
#[derive(Debug, Deserialize)]
pub(super) struct Intent {
    pub id: String,
    amount: i64,
    #[serde(default)]
    amount_received: i64,
    status: String,
    #[serde(default)]
    created: i64,
    #[serde(default)]
    pub livemode: bool,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    payment_method_types: Vec<String>,
    latest_charge: Option<Latest>,
    next_action: Option<Action>,
    last_payment_error: Option<LastError>,
}

/// Charge of the intent: an id, or the charge itself if it was requested.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Latest {
    Id(String),
    Charge(Box<Charge>),
}

#[derive(Debug, Deserialize)]
struct LastError {
    code: Option<String>,
}

/// Maps an intent's status. After an error an intent could be confirmed again, but its instrument is no longer payable. On a hosted
/// page, where cards pay, the payer can retry.
fn status(
    theirs: &str,
    last_error: Option<&str>,
    method: PaymentMethodKind,
) -> Option<GatewayStatus> {
    Some(match (theirs, last_error) {
        ("succeeded", _) => GatewayStatus::Paid,
        ("canceled", _) => GatewayStatus::Canceled,
        ("requires_payment_method", Some(_)) if method == PaymentMethodKind::Card => {
            GatewayStatus::Pending
        }
        ("requires_payment_method", Some(ATTEMPT_EXPIRED)) => GatewayStatus::Expired,
        ("requires_payment_method", Some(_)) => GatewayStatus::Failed,
        (
            "requires_payment_method"
            | "requires_confirmation"
            | "requires_action"
            | "processing"
            | "requires_capture",
            _,
        ) => GatewayStatus::Pending,
        _ => return None,
    })
}

impl Intent {
    pub(super) fn reference(&self) -> Option<&str> {
        self.metadata.get("reference").map(String::as_str)
    }

    /// Returns the method of payment. Cards pay only on hosted pages, which create their intents themselves.
    pub(super) fn method(&self) -> PaymentMethodKind {
        instrument::method(&self.payment_method_types).unwrap_or(PaymentMethodKind::Card)
    }

    /// Returns the charge without its next action; `None` if its status is unknown.
    pub(super) fn charge_state(&self) -> Option<GatewayCharge> {
        let last_error = self.last_payment_error.as_ref();
        let last_error = last_error.map(|error| error.code.as_deref().unwrap_or("unknown"));
        Some(GatewayCharge {
            id: self.id.clone(),
            reference: self.reference().map(ToOwned::to_owned),
            status: status(&self.status, last_error, self.method())?,
            amount: self.amount,
            next_action: None,
            payments: self.payment().into_iter().collect(),
            customer: None,
            refunds: Vec::new(),
            disputes: Vec::new(),
        })
    }

    /// Returns the charge.
    pub(super) fn to_charge(&self) -> Result<GatewayCharge, GatewayError> {
        let mut charge = self
            .charge_state()
            .ok_or_else(|| unreadable("the intent has a status that is not known"))?;
        if let Some(action) = self
            .next_action
            .as_ref()
            .filter(|_| charge.status.is_payable())
        {
            charge.next_action = action.to_next_action(self.livemode);
        }
        Ok(charge)
    }

    /// Returns the charge that paid the intent, if it is inside.
    pub(super) fn paid_by(&self) -> Option<&Charge> {
        match self.latest_charge.as_ref()? {
            Latest::Charge(charge) if self.is_paid() => Some(charge),
            _ => None,
        }
    }

    fn is_paid(&self) -> bool {
        self.status == "succeeded" && self.amount_received > 0
    }

    pub(super) fn payment(&self) -> Option<GatewayPayment> {
        if !self.is_paid() {
            return None;
        }
        match self.latest_charge.as_ref()? {
            Latest::Charge(charge) => charge.to_payment(self.amount_received, self.method()),
            Latest::Id(id) => Some(GatewayPayment {
                id: id.clone(),
                end_to_end_id: None,
                amount: self.amount_received,
                method: self.method(),
                fee: None,
                net: None,
                installments: None,
                settles_on: None,
                settled_on: None,
                paid_at: instant(self.created)?,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_an_intent_has_ours() {
        use GatewayStatus::{Canceled, Expired, Failed, Paid, Pending};
        let expired = Some(ATTEMPT_EXPIRED);
        let declined = Some("card_declined");
        for (theirs, error, method, ours) in [
            (
                "requires_payment_method",
                None,
                PaymentMethodKind::Pix,
                Some(Pending),
            ),
            (
                "requires_payment_method",
                expired,
                PaymentMethodKind::Pix,
                Some(Expired),
            ),
            (
                "requires_payment_method",
                expired,
                PaymentMethodKind::Boleto,
                Some(Expired),
            ),
            (
                "requires_payment_method",
                Some("x"),
                PaymentMethodKind::Pix,
                Some(Failed),
            ),
            (
                "requires_payment_method",
                declined,
                PaymentMethodKind::Card,
                Some(Pending),
            ),
            (
                "requires_confirmation",
                None,
                PaymentMethodKind::Pix,
                Some(Pending),
            ),
            (
                "requires_action",
                None,
                PaymentMethodKind::Pix,
                Some(Pending),
            ),
            (
                "requires_action",
                None,
                PaymentMethodKind::Boleto,
                Some(Pending),
            ),
            ("processing", None, PaymentMethodKind::Boleto, Some(Pending)),
            (
                "requires_capture",
                None,
                PaymentMethodKind::Card,
                Some(Pending),
            ),
            ("succeeded", Some("x"), PaymentMethodKind::Pix, Some(Paid)),
            ("canceled", None, PaymentMethodKind::Pix, Some(Canceled)),
            ("something_new", None, PaymentMethodKind::Pix, None),
        ] {
            assert_eq!(status(theirs, error, method), ours, "{theirs} {error:?}");
        }
    }
}
