//! A `PaymentIntent` as Stripe answers it, in our words.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemas::{
    attempt::ErrorClass, br_code::BrCode, next_action::NextAction, payment_method::Kind,
};
use serde::Deserialize;

use crate::{GatewayCharge, GatewayError, GatewayPayment, GatewayStatus};

/// An intent. Fields that we do not need are not read.
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
    livemode: bool,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    latest_charge: Option<Latest>,
    next_action: Option<Action>,
    last_payment_error: Option<LastError>,
}

/// Its charge: an id, or the charge itself where it was asked for.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Latest {
    Id(String),
    Charge(Box<Charge>),
}

#[derive(Debug, Deserialize)]
struct Charge {
    id: String,
    created: Option<i64>,
    payment_method_details: Option<Details>,
    balance_transaction: Option<Balance>,
}

#[derive(Debug, Deserialize)]
struct Details {
    pix: Option<Pix>,
}

#[derive(Debug, Deserialize)]
struct Pix {
    bank_transaction_id: Option<String>,
}

/// An id, or what was booked where it was asked for.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Balance {
    Booked { fee: i64, net: i64 },
    Id(serde::de::IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct Action {
    pix_display_qr_code: Option<QrCode>,
}

#[derive(Debug, Deserialize)]
struct QrCode {
    data: Option<String>,
    expires_at: Option<i64>,
    image_url_png: Option<String>,
}

#[derive(Debug, Deserialize)]
struct LastError {
    code: Option<String>,
}

/// Their status → ours. `requires_payment_method` after an error: the code expired, and the intent could be confirmed again.
fn status(theirs: &str, last_error: Option<&str>) -> Option<GatewayStatus> {
    Some(match (theirs, last_error) {
        ("succeeded", _) => GatewayStatus::Paid,
        ("canceled", _) => GatewayStatus::Canceled,
        ("requires_payment_method", Some(_)) => GatewayStatus::Expired,
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

    pub(super) fn is_live(&self) -> bool {
        self.livemode
    }

    /// The charge in our words.
    pub(super) fn to_charge(&self) -> Result<GatewayCharge, GatewayError> {
        let unreadable = |what| GatewayError::new(ErrorClass::Unknown, "unreadable", what);
        let last_error = self
            .last_payment_error
            .as_ref()
            .map(|error| error.code.as_deref().unwrap_or("unknown"));
        let status = status(&self.status, last_error)
            .ok_or_else(|| unreadable("the intent has a status that is not known"))?;
        let next_action = match self.qr_code() {
            Some((code, expires_at, picture)) if status.is_payable() => {
                if BrCode::parse(&code).is_err() {
                    return Err(unreadable("the intent has no readable Pix code"));
                }
                Some(NextAction::Pix {
                    copy_paste: code,
                    qr_code_url: picture,
                    expires_at,
                })
            }
            _ => None,
        };
        Ok(GatewayCharge {
            id: self.id.clone(),
            reference: self.reference().map(ToOwned::to_owned),
            status,
            amount: self.amount,
            next_action,
            payments: self.payment().into_iter().collect(),
            customer: None,
            refunds: Vec::new(),
            disputes: Vec::new(),
        })
    }

    fn qr_code(&self) -> Option<(String, DateTime<Utc>, Option<String>)> {
        let shown = self.next_action.as_ref()?.pix_display_qr_code.as_ref()?;
        Some((
            shown.data.clone()?,
            instant(shown.expires_at?)?,
            shown.image_url_png.clone(),
        ))
    }

    fn payment(&self) -> Option<GatewayPayment> {
        if self.status != "succeeded" || self.amount_received <= 0 {
            return None;
        }
        let (id, charge) = match self.latest_charge.as_ref()? {
            Latest::Id(id) => (id, None),
            Latest::Charge(charge) => (&charge.id, Some(charge)),
        };
        let pix = charge.and_then(|charge| charge.payment_method_details.as_ref()?.pix.as_ref());
        let booked = match charge.and_then(|charge| charge.balance_transaction.as_ref()) {
            Some(Balance::Booked { fee, net }) => Some((*fee, *net)),
            Some(Balance::Id(serde::de::IgnoredAny)) | None => None,
        };
        Some(GatewayPayment {
            id: id.clone(),
            end_to_end_id: pix.and_then(|pix| pix.bank_transaction_id.clone()),
            amount: self.amount_received,
            method: Kind::Pix,
            fee: booked.map(|(fee, _)| fee),
            net: booked.map(|(_, net)| net),
            installments: None,
            settles_on: None,
            settled_on: None,
            paid_at: instant(
                charge
                    .and_then(|charge| charge.created)
                    .unwrap_or(self.created),
            )?,
        })
    }
}

pub(super) fn instant(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_an_intent_has_ours() {
        use GatewayStatus::{Canceled, Expired, Paid, Pending};
        for (theirs, error, ours) in [
            ("requires_payment_method", None, Some(Pending)),
            (
                "requires_payment_method",
                Some("payment_intent_payment_attempt_expired"),
                Some(Expired),
            ),
            ("requires_confirmation", None, Some(Pending)),
            ("requires_action", None, Some(Pending)),
            ("processing", None, Some(Pending)),
            ("requires_capture", None, Some(Pending)),
            ("succeeded", Some("x"), Some(Paid)),
            ("canceled", None, Some(Canceled)),
            ("something_new", None, None),
        ] {
            assert_eq!(status(theirs, error), ours, "{theirs}");
        }
    }
}
