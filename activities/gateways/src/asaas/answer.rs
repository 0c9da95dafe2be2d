//! A payment as Asaas answers it, in our words.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::America::Sao_Paulo;
use schemas::{
    Instant, attempt::ErrorClass, br_code::BrCode, next_action::NextAction, payment_method::Kind,
};
use serde::Deserialize;
use serde_json::Number;

use crate::{GatewayCharge, GatewayError, GatewayPayment, GatewayStatus, money};

/// A payment. Fields that we do not need are not read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payment {
    pub id: String,
    status: String,
    value: Number,
    net_value: Option<Number>,
    customer: Option<String>,
    external_reference: Option<String>,
    #[serde(default)]
    deleted: bool,
    confirmed_date: Option<String>,
    client_payment_date: Option<String>,
    payment_date: Option<String>,
    date_created: Option<String>,
}

/// The Pix code of a payment.
#[derive(Debug, Deserialize)]
pub(super) struct Code {
    payload: String,
}

/// Their status → ours. A deleted payment is canceled, whatever its status says.
fn status(theirs: &str, deleted: bool) -> Option<GatewayStatus> {
    Some(match theirs {
        "CONFIRMED" | "RECEIVED" | "RECEIVED_IN_CASH" | "DUNNING_RECEIVED" => GatewayStatus::Paid,
        "REFUNDED" => GatewayStatus::Refunded,
        // the money is still there while they are under way
        "REFUND_REQUESTED" | "REFUND_IN_PROGRESS" => GatewayStatus::Paid,
        "CHARGEBACK_REQUESTED" | "CHARGEBACK_DISPUTE" | "AWAITING_CHARGEBACK_REVERSAL" => {
            GatewayStatus::Disputed
        }
        _ if deleted => GatewayStatus::Canceled,
        "PENDING" | "AWAITING_RISK_ANALYSIS" | "AUTHORIZED" => GatewayStatus::Pending,
        "OVERDUE" | "DUNNING_REQUESTED" => GatewayStatus::Overdue,
        _ => return None,
    })
}

impl Payment {
    pub(super) fn is_of(&self, reference: &str) -> bool {
        self.external_reference.as_deref() == Some(reference)
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted
    }

    pub(super) fn reference(&self) -> Option<&str> {
        self.external_reference.as_deref()
    }

    /// The charge in our words, without its code. `told_at`: when an event told it, which is nearer than the payment's dates.
    pub(super) fn to_charge(
        &self,
        told_at: Option<Instant>,
    ) -> Result<GatewayCharge, GatewayError> {
        let unreadable = |what| GatewayError::new(ErrorClass::Unknown, "unreadable", what);
        let status = status(&self.status, self.deleted)
            .ok_or_else(|| unreadable("the payment has a status that is not known"))?;
        let amount = money::of_number(&self.value)
            .ok_or_else(|| unreadable("the payment's value is not readable"))?;
        Ok(GatewayCharge {
            id: self.id.clone(),
            reference: self.external_reference.clone(),
            status,
            amount,
            next_action: None,
            payments: self.payment(status, amount, told_at).into_iter().collect(),
            customer: self.customer.clone(),
            refunds: Vec::new(),
            disputes: Vec::new(),
        })
    }

    fn payment(
        &self,
        status: GatewayStatus,
        amount: i64,
        told_at: Option<Instant>,
    ) -> Option<GatewayPayment> {
        if !matches!(
            status,
            GatewayStatus::Paid | GatewayStatus::Refunded | GatewayStatus::Disputed
        ) {
            return None;
        }
        let net = self.net_value.as_ref().and_then(money::of_number);
        let dates = [
            &self.client_payment_date,
            &self.confirmed_date,
            &self.payment_date,
            &self.date_created,
        ];
        let paid_on = dates.into_iter().flatten().find_map(|text| instant(text));
        Some(GatewayPayment {
            id: self.id.clone(),
            end_to_end_id: None,
            amount,
            method: Kind::Pix,
            fee: net.map(|net| amount - net),
            net,
            installments: None,
            settles_on: None,
            settled_on: None,
            paid_at: told_at.or(paid_on)?,
        })
    }
}

impl Code {
    /// Shows the code in its charge.
    pub(super) fn show_in(
        self,
        charge: GatewayCharge,
        expires_at: Instant,
    ) -> Result<GatewayCharge, GatewayError> {
        if BrCode::parse(&self.payload).is_err() {
            return Err(GatewayError::new(
                ErrorClass::Unknown,
                "unreadable",
                "the payment has no readable Pix code",
            ));
        }
        let next_action = NextAction::Pix {
            copy_paste: self.payload,
            qr_code_url: None,
            expires_at,
        };
        Ok(GatewayCharge {
            next_action: Some(next_action),
            ..charge
        })
    }
}

/// A day, or a day and time, in São Paulo.
pub(super) fn instant(text: &str) -> Option<Instant> {
    let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")
        .ok()
        .or_else(|| {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            Some(day.and_time(NaiveTime::MIN))
        })?;
    Some(Sao_Paulo.from_local_datetime(&local).earliest()?.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_a_payment_has_ours() {
        use GatewayStatus::{Canceled, Disputed, Overdue, Paid, Pending, Refunded};
        for (theirs, deleted, ours) in [
            ("PENDING", false, Some(Pending)),
            ("PENDING", true, Some(Canceled)),
            ("OVERDUE", true, Some(Canceled)),
            ("AWAITING_RISK_ANALYSIS", false, Some(Pending)),
            ("AUTHORIZED", false, Some(Pending)),
            ("CONFIRMED", false, Some(Paid)),
            ("RECEIVED", false, Some(Paid)),
            ("RECEIVED_IN_CASH", false, Some(Paid)),
            ("OVERDUE", false, Some(Overdue)),
            ("REFUND_REQUESTED", false, Some(Paid)),
            ("REFUND_IN_PROGRESS", false, Some(Paid)),
            ("REFUNDED", false, Some(Refunded)),
            ("CHARGEBACK_REQUESTED", false, Some(Disputed)),
            ("CHARGEBACK_DISPUTE", false, Some(Disputed)),
            ("AWAITING_CHARGEBACK_REVERSAL", false, Some(Disputed)),
            ("DUNNING_REQUESTED", false, Some(Overdue)),
            ("DUNNING_RECEIVED", false, Some(Paid)),
            ("SOMETHING_NEW", false, None),
        ] {
            assert_eq!(status(theirs, deleted), ours, "{theirs}");
        }
    }

    #[test]
    fn days_are_sao_paulos() {
        assert_eq!(
            instant("2026-07-14").map(|at| at.to_rfc3339()),
            Some("2026-07-14T03:00:00+00:00".to_owned())
        );
        assert_eq!(
            instant("2026-07-14 23:30:00").map(|at| at.to_rfc3339()),
            Some("2026-07-15T02:30:00+00:00".to_owned())
        );
    }
}
