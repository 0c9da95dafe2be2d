//! Disputes: chargebacks of cards, and MEDs of Pix, which cannot be contested. `docs/gateways/stripe.md#disputes`.

use schemas::dispute::{DisputeKind, DisputeStatus};
use serde::Deserialize;

use super::{
    Stripe,
    responses::payment::{Charge, instant},
};
use crate::{GatewayDispute, GatewayError, http::Deadline};

/// Dispute of Stripe. Fields that we do not need are not read.
#[derive(Debug, Deserialize)]
pub(super) struct Dispute {
    id: String,
    amount: i64,
    pub charge: String,
    pub payment_intent: Option<String>,
    status: String,
    reason: Option<String>,
    created: Option<i64>,
    evidence_details: Option<Evidence>,
    payment_method_details: Option<Details>,
    balance_transactions: Option<Vec<Booking>>,
}

#[derive(Debug, Deserialize)]
struct Evidence {
    due_by: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Details {
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Booking {
    amount: i64,
}

/// Maps a dispute's status. `withdrawn`: the money was taken and not returned.
fn status(theirs: &str, withdrawn: bool) -> Option<DisputeStatus> {
    Some(match theirs {
        "warning_needs_response" | "needs_response" => DisputeStatus::NeedsResponse,
        "warning_under_review" | "under_review" => DisputeStatus::UnderReview,
        // settled before it began, and the payer has the money
        "prevented" if withdrawn => DisputeStatus::Lost,
        // `warning_closed` is an inquiry that never became a chargeback; `charge_refunded` was refunded instead
        "won" | "warning_closed" | "charge_refunded" | "prevented" => DisputeStatus::Won,
        "lost" => DisputeStatus::Lost,
        _ => return None,
    })
}

/// Returns the kind of dispute. Stripe always names the method of cards. `py_` is a Pix, because boletos cannot be disputed.
fn kind(method: Option<&str>, charge: &str) -> DisputeKind {
    match method {
        Some("card") => DisputeKind::Chargeback,
        Some("pix") => DisputeKind::Med,
        Some(_) => DisputeKind::Other,
        None if charge.starts_with("py_") => DisputeKind::Med,
        None => DisputeKind::Chargeback,
    }
}

impl Dispute {
    /// Returns the dispute; `None` if its status is unknown.
    pub(super) fn to_dispute(&self) -> Option<GatewayDispute> {
        let method = self.payment_method_details.as_ref();
        let bookings = self.balance_transactions.as_deref().unwrap_or_default();
        let withdrawn = bookings.iter().map(|it| it.amount).sum::<i64>() < 0;
        let evidence = self.evidence_details.as_ref();
        Some(GatewayDispute {
            id: self.id.clone(),
            payment: self.charge.clone(),
            amount: self.amount,
            kind: kind(method.and_then(|it| it.kind.as_deref()), &self.charge),
            status: status(&self.status, withdrawn)?,
            reason: self.reason.clone(),
            respond_by: evidence.and_then(|it| it.due_by).and_then(instant),
            created_at: self.created.and_then(instant),
        })
    }
}

impl Stripe {
    /// Fetches the disputes of a charge.
    pub(super) async fn disputes_of(
        &self,
        charge: &Charge,
        deadline: Deadline,
    ) -> Result<Vec<GatewayDispute>, GatewayError> {
        if !charge.disputed {
            return Ok(Vec::new());
        }
        let query = [("charge", charge.id.clone())];
        let listed: Vec<Dispute> = self.list(&["disputes"], &query, deadline).await?;
        Ok(listed.iter().filter_map(Dispute::to_dispute).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_a_dispute_has_ours() {
        use DisputeStatus::{Lost, NeedsResponse, UnderReview, Won};
        for (theirs, withdrawn, ours) in [
            ("warning_needs_response", false, Some(NeedsResponse)),
            ("warning_under_review", false, Some(UnderReview)),
            ("warning_closed", false, Some(Won)),
            ("needs_response", true, Some(NeedsResponse)),
            ("under_review", true, Some(UnderReview)),
            ("charge_refunded", false, Some(Won)),
            ("won", false, Some(Won)),
            ("lost", true, Some(Lost)),
            ("prevented", true, Some(Lost)),
            ("prevented", false, Some(Won)),
            ("something_new", true, None),
        ] {
            assert_eq!(status(theirs, withdrawn), ours, "{theirs}");
        }
    }

    #[test]
    fn a_disputed_pix_is_a_med() {
        assert_eq!(kind(Some("pix"), "py_1"), DisputeKind::Med);
        assert_eq!(kind(None, "py_1"), DisputeKind::Med);
        assert_eq!(kind(Some("card"), "ch_1"), DisputeKind::Chargeback);
        assert_eq!(kind(None, "ch_1"), DisputeKind::Chargeback);
        assert_eq!(kind(Some("paypal"), "py_1"), DisputeKind::Other);
    }
}
