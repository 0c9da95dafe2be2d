//! Disputes. Asaas has one dispute per payment and reports it by the payment's status alone. `docs/gateways/asaas.md#statuses`.

use schemas::{
    dispute::{DisputeKind, DisputeStatus},
    payment_method::PaymentMethodKind,
};

use super::responses::Payment;
use crate::{GatewayDispute, money};

/// Maps the status of a payment to that of its dispute.
pub(super) fn status(theirs: &str) -> Option<DisputeStatus> {
    Some(match theirs {
        "CHARGEBACK_REQUESTED" => DisputeStatus::NeedsResponse,
        // perhaps won, but the money has not returned yet
        "CHARGEBACK_DISPUTE" | "AWAITING_CHARGEBACK_REVERSAL" => DisputeStatus::UnderReview,
        _ => return None,
    })
}

impl Payment {
    /// Returns the dispute.
    pub(super) fn dispute(&self) -> Option<GatewayDispute> {
        let kind = match self.method() {
            PaymentMethodKind::Pix => DisputeKind::Med,
            PaymentMethodKind::Boleto | PaymentMethodKind::Card => DisputeKind::Chargeback,
        };
        Some(GatewayDispute {
            id: self.id.clone(),
            payment: self.id.clone(),
            amount: money::of_number(&self.value)?,
            kind,
            status: status(&self.status)?,
            reason: None,
            respond_by: None,
            created_at: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chargeback_is_a_dispute_and_nothing_else_is() {
        use DisputeStatus::{NeedsResponse, UnderReview};
        for (theirs, ours) in [
            ("CHARGEBACK_REQUESTED", Some(NeedsResponse)),
            ("CHARGEBACK_DISPUTE", Some(UnderReview)),
            ("AWAITING_CHARGEBACK_REVERSAL", Some(UnderReview)),
            ("RECEIVED", None),
            ("REFUNDED", None),
            ("SOMETHING_NEW", None),
        ] {
            assert_eq!(status(theirs), ours, "{theirs}");
        }
    }
}
