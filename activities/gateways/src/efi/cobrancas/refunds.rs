//! Refunds of card payments. Efí stores no reference of them. `docs/gateways/efi.md#refunds`.

use reqwest::Method;
use schemas::{attempt::ErrorClass, payment_method::PaymentMethodKind};
use serde_json::json;

use super::{Cobrancas, responses};
use crate::{
    GatewayError, GatewayRefund, GatewayStatus, RefundRequest, RefundStatus, descriptor::Refunds,
    efi::requests::Call, http::Deadline,
};

const WHY_NO_BOLETO: &str =
    "Efí's API refunds no boleto: return the money by a Pix or a transfer of your own";
pub(in crate::efi) const NO_BOLETO: Refunds = Refunds::Unsupported(WHY_NO_BOLETO);

impl Cobrancas {
    /// Refunds a card payment.
    pub(in crate::efi) async fn refund(
        &self,
        order: &RefundRequest,
        deadline: Deadline,
    ) -> Result<GatewayRefund, GatewayError> {
        if order.method != PaymentMethodKind::Card {
            return Err(GatewayError::new(
                ErrorClass::Rejected,
                "unsupported",
                WHY_NO_BOLETO,
            ));
        }
        let path = ["v1", "charge", "card", order.charge.as_str(), "refund"];
        let body = json!({ "amount": order.amount });
        let call = Call::create(Method::POST, &path, &body);
        self.session.send(&call, deadline).await?;
        Ok(done(order))
    }

    /// Returns the refund. Efí reports only the refund of a whole charge; the outcome of a partial one cannot be read and is unknown.
    pub(in crate::efi) async fn find_refund(
        &self,
        order: &RefundRequest,
        deadline: Deadline,
    ) -> Result<Option<GatewayRefund>, GatewayError> {
        let charge = self.lookup(&order.charge, None, deadline).await?;
        match charge.status {
            GatewayStatus::Refunded if order.is_whole => Ok(Some(done(order))),
            _ if order.is_whole => Ok(None),
            _ => Err(GatewayError::new(
                ErrorClass::Unknown,
                "no_reference",
                "Efí keeps no reference of a partial card refund: look it up in its dashboard",
            )),
        }
    }
}

/// Returns the refund that was requested. A whole refund has the id that the charge's status implies; a partial one has our reference.
fn done(order: &RefundRequest) -> GatewayRefund {
    GatewayRefund {
        id: if order.is_whole {
            responses::whole_refund_id(&order.payment)
        } else {
            order.reference.clone()
        },
        reference: Some(order.reference.clone()),
        payment: order.payment.clone(),
        amount: order.amount,
        status: RefundStatus::Succeeded,
        reason: None,
        created_at: None,
    }
}
