//! Refunds. `docs/gateways/stripe.md#refunds`.

use std::{collections::BTreeMap, time::Duration};

use schemas::attempt::ErrorClass;
use serde::Deserialize;

use super::{
    Stripe,
    requests::calls::{Form, is_replayed, unreadable},
    responses::payment::instant,
};
use crate::{
    Gateway, GatewayError, GatewayRefund, RefundRequest, RefundStatus,
    http::{CALL_TIMEOUT, Deadline, Effect},
};

/// Refund of Stripe. Fields that we do not need are not read.
#[derive(Debug, Deserialize)]
pub(super) struct Refund {
    id: String,
    amount: i64,
    status: Option<String>,
    failure_reason: Option<String>,
    created: Option<i64>,
    pub charge: Option<String>,
    pub payment_intent: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
}

/// Maps a refund's status.
fn status(theirs: &str) -> Option<RefundStatus> {
    Some(match theirs {
        // `requires_action` waits for the payer's bank details
        "pending" | "requires_action" => RefundStatus::Pending,
        "succeeded" => RefundStatus::Succeeded,
        "failed" | "canceled" => RefundStatus::Failed,
        _ => return None,
    })
}

impl Refund {
    /// Returns the refund; `None` if its status is unknown.
    pub(super) fn to_refund(&self) -> Option<GatewayRefund> {
        let reference = self.word("reference");
        Some(GatewayRefund {
            id: self.id.clone(),
            reference,
            payment: self.charge.clone()?,
            amount: self.amount,
            status: status(self.status.as_deref()?)?,
            reason: self.failure_reason.clone(),
            created_at: self.created.and_then(instant),
        })
    }

    /// Returns the reference of the refunded charge, if it is ours.
    pub(super) fn charge_reference(&self) -> Option<String> {
        self.word("charge_reference")
    }

    fn word(&self, key: &str) -> Option<String> {
        self.metadata.as_ref()?.get(key).cloned()
    }
}

/// Returns the body of the create request: a function of the order alone, so that a repeated request is identical to the byte.
fn form(order: &RefundRequest) -> Form {
    let mut form = vec![
        ("charge", order.payment.clone()),
        ("amount", order.amount.to_string()),
        ("metadata[reference]", order.reference.clone()),
        ("metadata[charge_reference]", order.charge_reference.clone()),
    ];
    if let Some(reason) = &order.reason {
        // Stripe's own `reason` has only three values
        form.push(("metadata[reason]", reason.clone()));
    }
    form
}

impl Stripe {
    pub(super) async fn create_refund(
        &self,
        order: &RefundRequest,
        within: Duration,
    ) -> Result<GatewayRefund, GatewayError> {
        self.descriptor()
            .capabilities(order.method)
            .refundable()
            .map_err(|why| GatewayError::new(ErrorClass::Rejected, "charge_not_refundable", why))?;
        let deadline = Deadline::after(within);
        let answer = self
            .create(&["refunds"], &form(order), &order.reference, deadline)
            .await?;
        let mut refund: Refund = answer.read(Effect::Creates)?;
        if is_replayed(&answer) {
            refund = self
                .api
                .get(&["refunds", &refund.id], &[], deadline)
                .await
                .and_then(|answer| answer.read(Effect::Reads))
                .map_err(GatewayError::after_an_effect)?;
        }
        refund
            .to_refund()
            .ok_or_else(|| unreadable("the refund has a status that is not known"))
    }

    pub(super) async fn read_refund(
        &self,
        order: &RefundRequest,
    ) -> Result<Option<GatewayRefund>, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let listed = self.refunds_of(&order.payment, deadline).await?;
        let ours = |refund: &Refund| refund.word("reference").as_ref() == Some(&order.reference);
        let Some(refund) = listed.into_iter().find(ours) else {
            return Ok(None);
        };
        let read = refund.to_refund();
        read.map(Some)
            .ok_or_else(|| unreadable("the refund has a status that is not known"))
    }

    /// Fetches all refunds of a charge, newest first.
    pub(super) async fn refunds_of(
        &self,
        charge: &str,
        deadline: Deadline,
    ) -> Result<Vec<Refund>, GatewayError> {
        let query = [("charge", charge.to_owned())];
        self.list(&["refunds"], &query, deadline).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_a_refund_has_ours() {
        use RefundStatus::{Failed, Pending, Succeeded};
        for (theirs, ours) in [
            ("pending", Some(Pending)),
            ("requires_action", Some(Pending)),
            ("succeeded", Some(Succeeded)),
            ("failed", Some(Failed)),
            ("canceled", Some(Failed)),
            ("something_new", None),
        ] {
            assert_eq!(status(theirs), ours, "{theirs}");
        }
    }
}
