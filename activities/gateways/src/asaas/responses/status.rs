//! Maps Asaas's statuses to ours. `docs/gateways/asaas.md#statuses`.

use crate::{GatewayStatus, RefundStatus};

/// Maps a payment's status. A deleted payment is canceled, unless it received money.
pub(in crate::asaas) fn of_payment(theirs: &str, deleted: bool) -> Option<GatewayStatus> {
    Some(match theirs {
        // while a refund is in progress the money is still there
        "CONFIRMED" | "RECEIVED" | "RECEIVED_IN_CASH" | "DUNNING_RECEIVED" | "REFUND_REQUESTED"
        | "REFUND_IN_PROGRESS" => GatewayStatus::Paid,
        "REFUNDED" => GatewayStatus::Refunded,
        "CHARGEBACK_REQUESTED" | "CHARGEBACK_DISPUTE" | "AWAITING_CHARGEBACK_REVERSAL" => {
            GatewayStatus::Disputed
        }
        _ if deleted => GatewayStatus::Canceled,
        // a declined card leaves it pending: the payer may try another one on the same page
        "PENDING" | "AWAITING_RISK_ANALYSIS" | "AUTHORIZED" => GatewayStatus::Pending,
        "OVERDUE" | "DUNNING_REQUESTED" => GatewayStatus::Overdue,
        _ => return None,
    })
}

/// Maps a refund's status. A refund with an unknown status may still succeed.
pub(in crate::asaas) fn of_refund(theirs: &str) -> RefundStatus {
    match theirs {
        "DONE" => RefundStatus::Succeeded,
        "CANCELLED" => RefundStatus::Failed,
        _ => RefundStatus::Pending,
    }
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
            ("RECEIVED", true, Some(Paid)),
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
            assert_eq!(of_payment(theirs, deleted), ours, "{theirs}");
        }
    }

    #[test]
    fn every_status_of_a_refund_has_ours() {
        use RefundStatus::{Failed, Pending, Succeeded};
        for (theirs, ours) in [
            ("PENDING", Pending),
            ("AWAITING_CRITICAL_ACTION_AUTHORIZATION", Pending),
            ("AWAITING_CUSTOMER_EXTERNAL_AUTHORIZATION", Pending),
            ("DONE", Succeeded),
            ("CANCELLED", Failed),
            ("SOMETHING_NEW", Pending),
        ] {
            assert_eq!(of_refund(theirs), ours, "{theirs}");
        }
    }
}
