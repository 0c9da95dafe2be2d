//! Maps the statuses of the API Cobranças to ours. `docs/gateways/efi.md#statuses`.

use schemas::payment_method::PaymentMethodKind;

use crate::GatewayStatus;

/// Maps a charge's status. `unpaid` is a boleto past its due date, which is still payable, or a card that was declined.
pub(in crate::efi::cobrancas) fn status(
    theirs: &str,
    method: PaymentMethodKind,
) -> Option<GatewayStatus> {
    Some(match (theirs, method) {
        ("new" | "link" | "waiting" | "identified" | "approved", _) => GatewayStatus::Pending,
        ("unpaid", PaymentMethodKind::Card) => GatewayStatus::Failed,
        ("unpaid", PaymentMethodKind::Boleto | PaymentMethodKind::Pix) => GatewayStatus::Overdue,
        ("paid" | "settled", _) => GatewayStatus::Paid,
        ("refunded", _) => GatewayStatus::Refunded,
        ("contested", _) => GatewayStatus::Disputed,
        ("canceled", _) => GatewayStatus::Canceled,
        ("expired", _) => GatewayStatus::Expired,
        _ => return None,
    })
}

/// Returns true if the charge received money at some time, even if it was returned since.
pub(in crate::efi::cobrancas) fn has_money(status: GatewayStatus) -> bool {
    matches!(
        status,
        GatewayStatus::Paid | GatewayStatus::Refunded | GatewayStatus::Disputed
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_a_charge_has_ours() {
        for (theirs, boleto, card) in [
            ("new", GatewayStatus::Pending, GatewayStatus::Pending),
            ("link", GatewayStatus::Pending, GatewayStatus::Pending),
            ("waiting", GatewayStatus::Pending, GatewayStatus::Pending),
            ("identified", GatewayStatus::Pending, GatewayStatus::Pending),
            ("approved", GatewayStatus::Pending, GatewayStatus::Pending),
            ("unpaid", GatewayStatus::Overdue, GatewayStatus::Failed),
            ("paid", GatewayStatus::Paid, GatewayStatus::Paid),
            ("settled", GatewayStatus::Paid, GatewayStatus::Paid),
            ("refunded", GatewayStatus::Refunded, GatewayStatus::Refunded),
            (
                "contested",
                GatewayStatus::Disputed,
                GatewayStatus::Disputed,
            ),
            ("canceled", GatewayStatus::Canceled, GatewayStatus::Canceled),
            ("expired", GatewayStatus::Expired, GatewayStatus::Expired),
        ] {
            assert_eq!(
                status(theirs, PaymentMethodKind::Boleto),
                Some(boleto),
                "{theirs}"
            );
            assert_eq!(
                status(theirs, PaymentMethodKind::Card),
                Some(card),
                "{theirs}"
            );
        }
        assert_eq!(status("novo", PaymentMethodKind::Card), None);
    }
}
