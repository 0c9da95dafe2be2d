//! Disputes. Efí reports one dispute per charge, by the charge's status and history. `docs/gateways/efi.md#statuses`.

use schemas::{
    dispute::{DisputeKind, DisputeStatus},
    payment_method::PaymentMethodKind,
};

use crate::{GatewayDispute, GatewayPayment};

/// Returns the dispute of a payment.
pub(super) fn chargeback(payment: &GatewayPayment, status: DisputeStatus) -> GatewayDispute {
    GatewayDispute {
        id: format!("{}/contested", payment.id),
        payment: payment.id.clone(),
        amount: payment.amount,
        kind: match payment.method {
            PaymentMethodKind::Card => DisputeKind::Chargeback,
            PaymentMethodKind::Boleto | PaymentMethodKind::Pix => DisputeKind::Other,
        },
        status,
        reason: None,
        respond_by: None,
        created_at: None,
    }
}
