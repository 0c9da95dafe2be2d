//! A charge: one intent to collect money from one payer by one payment method.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{
    Instant,
    gateway::{GatewayKind, Mode},
    id::{ChargeId, ConnectionId},
    next_action::NextAction,
    payer::Payer,
    payment::Payment,
    payment_method::{PaymentMethod, PaymentMethodKind},
    route::Fallback,
};

/// The merchant's own keys and values, returned unchanged: up to 50 keys of up to 40 characters, values of up to 500 characters.
pub type Metadata = BTreeMap<String, String>;

/// Status of a charge.
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
pub enum ChargeStatus {
    /// A gateway is being called; nothing can be shown to the payer yet.
    Processing,
    /// Payable: `next_action` contains the instrument to show to the payer.
    Pending,
    /// Past its due date and still payable.
    Overdue,
    /// The money was received.
    Paid,
    /// Can no longer be paid because its time ran out.
    Expired,
    /// Can no longer be paid because the merchant canceled it.
    Canceled,
    /// No gateway accepted it; `failure` states the reason. To retry, create a new charge.
    Failed,
    /// All of the money was refunded.
    Refunded,
    /// The payer disputes the payment.
    Disputed,
    /// The outcome could not be established. It needs manual review at the gateway.
    NeedsReview,
}

impl ChargeStatus {
    /// Returns true if a charge may change from this status to `next`: the transition table.
    ///
    /// The unexpected transitions (`expired`, `canceled`, `failed`, `needs_review` → `paid`) are late or unexpected payments,
    /// which are always recorded. `paid` → `pending` or `overdue` is a payment that the gateway reversed.
    pub fn may_become(self, next: Self) -> bool {
        use ChargeStatus::{
            Canceled, Disputed, Expired, Failed, NeedsReview, Overdue, Paid, Pending, Processing,
            Refunded,
        };
        match self {
            Processing => matches!(
                next,
                Pending | Paid | Failed | Expired | Canceled | NeedsReview
            ),
            Pending => matches!(
                next,
                Overdue | Paid | Expired | Canceled | Failed | NeedsReview
            ),
            Overdue => matches!(
                next,
                Pending | Paid | Expired | Canceled | Failed | NeedsReview
            ),
            Expired | Canceled | Failed => matches!(next, Paid | NeedsReview),
            NeedsReview => !matches!(next, Processing | NeedsReview),
            Paid => matches!(next, Refunded | Disputed | Pending | Overdue | NeedsReview),
            Refunded => matches!(next, Paid | Disputed | NeedsReview),
            Disputed => matches!(next, Paid | Refunded | NeedsReview),
        }
    }

    /// Returns true if an instrument may be shown to the payer.
    pub fn is_payable(self) -> bool {
        matches!(self, Self::Pending | Self::Overdue)
    }

    /// Returns true if the charge causes no more calls to a gateway.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Processing | Self::Pending | Self::Overdue)
    }
}

/// Request to create a charge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CreateCharge {
    /// Amount in centavos, from 1 to 99999999999: `12345` is R$ 123,45.
    #[schemars(range(min = 1, max = 99_999_999_999_i64))]
    pub amount: i64,
    /// Currency. Only `BRL`, which is also the default.
    #[serde(default)]
    pub currency: Currency,
    /// The merchant's own order id, from 1 to 64 characters. While a charge with the same reference is open, a second one
    /// is not created by default (merchant setting `duplicate_reference`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub reference: Option<String>,
    /// Text for the payer, from 1 to 140 characters. Shown if the gateway supports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 140))]
    pub description: Option<String>,
    /// The person or company that pays.
    pub payer: Payer,
    /// Payment method with its parameters.
    pub payment_method: PaymentMethod,
    /// The merchant's own keys and values, returned unchanged: up to 50 keys of up to 40 characters, values of up to 500 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "metadata_schema")]
    pub metadata: Metadata,
    /// True to refuse the charge (422) unless at least two connections can take it. Defaults to false.
    #[serde(default)]
    pub require_fallback: bool,
}

pub(crate) fn metadata_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 50,
        "propertyNames": { "maxLength": 40, "minLength": 1 },
        "additionalProperties": { "type": "string", "maxLength": 500 },
    })
}

/// A currency. Brazil's gateways settle only in reais.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Currency {
    #[default]
    BRL,
}

/// A charge in its current state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Charge {
    pub id: ChargeId,
    pub mode: Mode,
    pub status: ChargeStatus,
    /// Requested amount in centavos.
    pub amount: i64,
    pub currency: Currency,
    /// Sum of the payments received, in centavos. May differ from `amount`.
    pub amount_paid: i64,
    /// Direction in which `amount_paid` differs from `amount` (fine, interest, discount, a payer's mistake). Null if nothing was
    /// paid or both are equal.
    pub amount_mismatch: Option<Mismatch>,
    /// Sum of the refunds, in centavos.
    pub amount_refunded: i64,
    /// Sum of the disputes that the merchant has not won, in centavos.
    pub amount_disputed: i64,
    /// Sum that can still be refunded, in centavos: paid, and neither refunded, being refunded nor disputed.
    pub amount_refundable: i64,
    /// The merchant's own order id.
    pub reference: Option<String>,
    pub description: Option<String>,
    /// The person or company that pays. Masked in events; null after the payer was erased.
    pub payer: Option<Payer>,
    pub payment_method: PaymentMethod,
    /// Connection at which the charge is payable or was paid. Null until a gateway accepts it.
    pub gateway: Option<ChargeGateway>,
    /// Instrument to show to the payer. Null unless the charge is payable.
    pub next_action: Option<NextAction>,
    /// URL of our own page for the payer. Null until the page exists.
    pub hosted_url: Option<String>,
    /// Last instant at which the charge can be paid.
    pub expires_at: Instant,
    /// Payments received for the charge.
    pub payments: Vec<Payment>,
    /// Reason for the failure.
    pub failure: Option<ChargeFailure>,
    /// Connections that cannot take the charge, each with the requirements that the charge does not meet.
    pub fallbacks: Vec<Fallback>,
    /// True while the outcome of an attempt is unknown. An instrument that is not shown may exist at its gateway; it is being
    /// looked up and voided. While this is true, a payment may arrive even after the charge expired or was canceled.
    #[serde(default)]
    pub unresolved_attempt: bool,
    pub metadata: Metadata,
    pub created_at: Instant,
    pub paid_at: Option<Instant>,
    pub expired_at: Option<Instant>,
    pub canceled_at: Option<Instant>,
    pub failed_at: Option<Instant>,
}

impl Charge {
    /// Returns the payment method without its parameters.
    pub fn method(&self) -> PaymentMethodKind {
        self.payment_method.kind()
    }
}

/// Direction in which the sum received differs from the requested amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    Underpaid,
    Overpaid,
}

/// The connection at which a charge is payable or was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChargeGateway {
    pub kind: GatewayKind,
    pub connection: ConnectionId,
}

/// Failure of a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChargeFailure {
    /// Stable, machine-readable code, for example `no_gateway_available` or `rejected_by_gateway`.
    pub code: FailureCode,
    /// Human-readable message: the cause and the remedy.
    pub message: String,
    /// True if a new charge with the same content may succeed.
    pub retryable: bool,
    /// Answer of the last gateway that rejected the charge.
    pub gateway: Option<GatewayFailure>,
    /// Answers of the gateways, in the order in which they were tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<GatewayFailure>,
}

/// Code of a charge's failure.
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
pub enum FailureCode {
    /// Every connection was tried or could not be called.
    NoGatewayAvailable,
    /// Every connection that could take the charge rejected it. `reasons` contains each answer.
    RejectedByGateway,
    /// The payer's means of payment were declined.
    Declined,
}

/// Error that a gateway returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GatewayFailure {
    pub kind: GatewayKind,
    /// The gateway's own error code.
    pub code: String,
    /// The gateway's own error message.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator;

    #[test]
    fn money_is_recorded_from_every_state_that_had_none() {
        for from in ChargeStatus::iter().filter(|s| *s != ChargeStatus::Paid) {
            assert!(from.may_become(ChargeStatus::Paid), "{from} → paid");
        }
    }

    #[test]
    fn a_closed_charge_never_becomes_payable_again() {
        for from in [
            ChargeStatus::Expired,
            ChargeStatus::Canceled,
            ChargeStatus::Failed,
            ChargeStatus::Refunded,
        ] {
            for to in
                ChargeStatus::iter().filter(|s| s.is_payable() || *s == ChargeStatus::Processing)
            {
                assert!(!from.may_become(to), "{from} → {to}");
            }
        }
    }

    #[test]
    fn no_state_becomes_itself_or_starts_over() {
        for from in ChargeStatus::iter() {
            assert!(!from.may_become(from));
            assert!(!from.may_become(ChargeStatus::Processing));
        }
    }
}
