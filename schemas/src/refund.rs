//! Money given back by the merchant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{
    Instant,
    charge::{GatewayFailure, Metadata},
    gateway::{GatewayKind, Mode},
    id::{ChargeId, PaymentId, RefundId},
};

/// Where a refund stands.
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
pub enum RefundStatus {
    /// Asked for; its amount is reserved.
    Pending,
    /// The money is on its way back to the payer.
    Succeeded,
    /// It was not given back; its amount is free again.
    Failed,
    /// Its outcome could not be established; a person must look at the gateway. Its amount stays reserved.
    NeedsReview,
}

impl RefundStatus {
    /// Whether a refund may go from here to `next`. A success may still fail: the payer's bank sends the money back. A failure may
    /// still succeed: the gateway's first answer was early.
    pub fn may_become(self, next: Self) -> bool {
        use RefundStatus::{Failed, NeedsReview, Pending, Succeeded};
        match self {
            Pending => matches!(next, Succeeded | Failed | NeedsReview),
            NeedsReview => matches!(next, Succeeded | Failed),
            Succeeded => matches!(next, Failed),
            Failed => matches!(next, Succeeded),
        }
    }
}

/// Who asked for a refund.
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
pub enum RefundOrigin {
    /// The merchant, through us.
    Merchant,
    /// Somebody at the gateway, in its panel.
    Gateway,
}

/// What a merchant sends to give money back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateRefund {
    /// In centavos; all that is left unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 99_999_999_999_i64))]
    pub amount: Option<i64>,
    /// The payment to give back, where a charge has several; the first one unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentId>,
    /// Why, for people; shown where the gateway can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 140))]
    pub reason: Option<String>,
    /// The merchant's own keys and values, returned unchanged.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    #[schemars(schema_with = "crate::charge::metadata_schema")]
    pub metadata: Metadata,
}

/// Money given back, or being given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refund {
    pub id: RefundId,
    pub mode: Mode,
    pub charge: ChargeId,
    /// The payment that is given back.
    pub payment: PaymentId,
    pub gateway: GatewayKind,
    pub status: RefundStatus,
    /// In centavos.
    pub amount: i64,
    pub origin: RefundOrigin,
    pub reason: Option<String>,
    /// Why it failed.
    pub failure: Option<GatewayFailure>,
    pub metadata: Metadata,
    pub created_at: Instant,
    pub succeeded_at: Option<Instant>,
    pub failed_at: Option<Instant>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator;

    #[test]
    fn a_failed_refund_may_succeed_after_all_and_none_starts_over() {
        for from in RefundStatus::iter() {
            assert!(!from.may_become(RefundStatus::Pending));
            assert!(!from.may_become(from));
            let succeeds = from == RefundStatus::Succeeded;
            assert_eq!(RefundStatus::Failed.may_become(from), succeeds, "{from}");
        }
    }

    #[test]
    fn a_success_may_still_fail() {
        assert!(RefundStatus::Succeeded.may_become(RefundStatus::Failed));
        assert!(!RefundStatus::Succeeded.may_become(RefundStatus::NeedsReview));
    }
}
