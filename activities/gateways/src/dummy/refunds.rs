//! Refunds: they succeed at once.

use schemas::attempt::ErrorClass;

use super::{
    Dummy,
    requests::{Object, ObjectRefund, ObjectStatus},
};
use crate::{GatewayError, GatewayRefund, RefundRequest, RefundStatus, http::Effect};

impl Object {
    pub(super) fn to_refund(&self, refund: &ObjectRefund) -> GatewayRefund {
        GatewayRefund {
            id: refund.reference.clone(),
            reference: Some(refund.reference.clone()),
            payment: self.payment_id(),
            amount: refund.amount,
            status: RefundStatus::Succeeded,
            reason: None,
            created_at: Some(refund.created_at),
        }
    }

    /// Returns the refund with that reference.
    pub(super) fn refund_of(&self, reference: &str) -> Option<GatewayRefund> {
        let found = self.refunds.iter().find(|one| one.reference == reference);
        found.map(|refund| self.to_refund(refund))
    }

    /// Adds the refund, unless it is there already or exceeds the amount that is left.
    fn refund(&mut self, order: &RefundRequest) {
        let is_new = self.refund_of(&order.reference).is_none();
        if is_new && self.status == ObjectStatus::Paid && order.amount <= self.left() {
            self.refunds.push(ObjectRefund {
                reference: order.reference.clone(),
                amount: order.amount,
                created_at: super::now(),
            });
        }
    }
}

impl Dummy {
    pub(super) async fn create_refund(
        &self,
        order: &RefundRequest,
    ) -> Result<GatewayRefund, GatewayError> {
        let changed = self
            .change(&order.charge, Effect::Creates, |object| {
                object.refund(order);
            })
            .await?;
        let refund = changed.and_then(|object| object.refund_of(&order.reference));
        refund.ok_or_else(|| {
            let why = "the charge is not paid, or less of it is left";
            GatewayError::new(ErrorClass::Rejected, "not_refundable", why)
        })
    }
}
