//! Disputes: money that the payer contests, through a MED, a chargeback or a dispute at the gateway. Never a refund.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{
    Instant,
    gateway::{GatewayKind, Mode},
    id::{ChargeId, DisputeId, PaymentId},
};

/// Status of a dispute.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    AsRefStr,
    Display,
    EnumIter,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DisputeStatus {
    /// Open. The merchant may respond at the gateway, if the gateway allows it.
    NeedsResponse,
    /// Responded to, or to be decided without a response.
    UnderReview,
    /// The merchant keeps the money.
    Won,
    /// The payer received the money back.
    Lost,
}

impl DisputeStatus {
    /// Returns true if a dispute may change from this status to `next`. A loss may be reversed: the merchant receives the money again.
    pub fn may_become(self, next: Self) -> bool {
        use DisputeStatus::{Lost, NeedsResponse, UnderReview, Won};
        match self {
            NeedsResponse => matches!(next, UnderReview | Won | Lost),
            UnderReview => matches!(next, Won | Lost),
            Won => matches!(next, Lost),
            Lost => matches!(next, Won),
        }
    }

    /// Returns true if the money is contested or lost, and so cannot be refunded.
    pub fn holds_money(self) -> bool {
        self != Self::Won
    }
}

/// Kind of a dispute.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    AsRefStr,
    Display,
    EnumIter,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DisputeKind {
    /// Pix's special return mechanism (MED), for fraud or an operational failure.
    Med,
    /// A card payment that the cardholder contests.
    Chargeback,
    /// A dispute whose kind the gateway does not report.
    Other,
}

/// A dispute of a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dispute {
    pub id: DisputeId,
    pub mode: Mode,
    pub charge: ChargeId,
    /// The disputed payment.
    pub payment: PaymentId,
    pub gateway: GatewayKind,
    /// The dispute's id at the gateway, where the merchant responds.
    pub gateway_dispute_id: String,
    pub kind: DisputeKind,
    pub status: DisputeStatus,
    /// Disputed amount in centavos.
    pub amount: i64,
    /// Reason, as the gateway reports it.
    pub reason: Option<String>,
    /// Deadline for the response.
    pub respond_by: Option<Instant>,
    pub created_at: Instant,
    pub closed_at: Option<Instant>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator;

    #[test]
    fn a_closed_dispute_never_opens_again() {
        for from in [DisputeStatus::Won, DisputeStatus::Lost] {
            for to in [DisputeStatus::NeedsResponse, DisputeStatus::UnderReview] {
                assert!(!from.may_become(to), "{from} → {to}");
            }
        }
        for status in DisputeStatus::iter() {
            assert!(!status.may_become(status));
        }
    }
}
