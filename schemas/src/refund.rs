//! Refunds: money that the merchant returns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{
    Instant,
    charge::{GatewayFailure, Metadata},
    gateway::{GatewayKind, Mode},
    id::{ChargeId, PaymentId, RefundId},
};

mod allocate;

pub use allocate::{
    Allocation, GivenRefund, RefundRefused, Refundable, RefundablePayment, allocate, reserved,
};

/// Status of a refund.
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
    /// Requested. Its amount is reserved.
    Pending,
    /// The money is on its way back to the payer.
    Succeeded,
    /// The refund failed. Its amount is refundable again.
    Failed,
    /// The outcome could not be established. It needs manual review at the gateway; its amount stays reserved.
    NeedsReview,
}

impl RefundStatus {
    /// Returns true if a refund may change from this status to `next`. A success may still fail: the payer's bank returns the
    /// money. A failure may still succeed: the gateway's first answer was premature.
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

/// Origin of a refund.
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
pub enum RefundOrigin {
    /// The merchant, through this service.
    Merchant,
    /// A user of the gateway's dashboard.
    Gateway,
}

/// Request to refund a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateRefund {
    /// Amount in centavos, from 1 to 99999999999. Defaults to all that can still be refunded of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 99_999_999_999_i64))]
    pub amount: Option<i64>,
    /// Payment to refund, if the charge has several. Defaults to the first one that is not fully refunded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentId>,
    /// Human-readable reason, from 1 to 140 characters. Shown if the gateway supports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 140))]
    pub reason: Option<String>,
    /// The merchant's own keys and values, returned unchanged: up to 50 keys of up to 40 characters, values of up to 500 characters.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    #[schemars(schema_with = "crate::charge::metadata_schema")]
    pub metadata: Metadata,
}

/// A refund, requested or completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refund {
    pub id: RefundId,
    pub mode: Mode,
    pub charge: ChargeId,
    /// The payment that is refunded.
    pub payment: PaymentId,
    pub gateway: GatewayKind,
    pub status: RefundStatus,
    /// Refunded amount in centavos.
    pub amount: i64,
    pub origin: RefundOrigin,
    pub reason: Option<String>,
    /// Reason for the failure.
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
