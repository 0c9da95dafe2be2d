//! Money claimed back by the payer: a MED, a chargeback, a dispute. Never a refund.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{
    Instant,
    gateway::{GatewayKind, Mode},
    id::{ChargeId, DisputeId, PaymentId},
};

/// Where a dispute stands.
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
    /// Open: the merchant may answer at the gateway, where the gateway allows it.
    NeedsResponse,
    /// Answered, or to be decided without an answer.
    UnderReview,
    /// The merchant keeps the money.
    Won,
    /// The payer has the money back.
    Lost,
}

impl DisputeStatus {
    /// Whether a dispute may go from here to `next`. A loss may be reversed: the money comes back.
    pub fn may_become(self, next: Self) -> bool {
        use DisputeStatus::{Lost, NeedsResponse, UnderReview, Won};
        match self {
            NeedsResponse => matches!(next, UnderReview | Won | Lost),
            UnderReview => matches!(next, Won | Lost),
            Won => matches!(next, Lost),
            Lost => matches!(next, Won),
        }
    }

    /// Whether the money is claimed or gone, and so cannot be refunded.
    pub fn holds_money(self) -> bool {
        self != Self::Won
    }
}

/// By which way money is claimed back.
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
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DisputeKind {
    /// Pix's special return mechanism: fraud or an operational failure.
    Med,
    /// A card payment that its holder denies.
    Chargeback,
    /// What the gateway calls a dispute, without saying which.
    Other,
}

/// Money claimed back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dispute {
    pub id: DisputeId,
    pub mode: Mode,
    pub charge: ChargeId,
    /// The payment that is claimed back.
    pub payment: PaymentId,
    pub gateway: GatewayKind,
    /// The dispute's id at the gateway, where it is answered.
    pub gateway_dispute_id: String,
    pub kind: DisputeKind,
    pub status: DisputeStatus,
    /// In centavos.
    pub amount: i64,
    /// The gateway's own word for why.
    pub reason: Option<String>,
    /// Until when it can be answered.
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
