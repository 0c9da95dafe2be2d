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

/// The merchant's own keys and values, returned unchanged: up to 50 keys of up to 40 characters, values of up to 500.
pub type Metadata = BTreeMap<String, String>;

/// Where a charge stands.
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
    /// A gateway is being asked; nothing can be shown to the payer yet.
    Processing,
    /// Payable: `next_action` says what to show to the payer.
    Pending,
    /// Past its due date and still payable.
    Overdue,
    /// The money arrived.
    Paid,
    /// Can no longer be paid: its time ran out.
    Expired,
    /// Can no longer be paid: the merchant canceled it.
    Canceled,
    /// No gateway took it; `failure` says why. A new try is a new charge.
    Failed,
    /// All of the money was given back.
    Refunded,
    /// The payer claims the money back.
    Disputed,
    /// Its outcome could not be established; a person must look at the gateway.
    NeedsReview,
}

impl ChargeStatus {
    /// The transition table: whether a charge may go from here to `next`.
    ///
    /// The surprising ones (`expired`, `canceled`, `failed`, `needs_review` → `paid`) are late or unexpected money,
    /// which is always recorded. `paid` → `pending` or `overdue` is a receipt that the gateway took back.
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

    /// Whether an instrument may be shown to the payer.
    pub fn is_payable(self) -> bool {
        matches!(self, Self::Pending | Self::Overdue)
    }

    /// Whether nothing more is asked of any gateway for its sake.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Processing | Self::Pending | Self::Overdue)
    }
}

/// What a merchant sends to create a charge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CreateCharge {
    /// Amount in centavos: `12345` is R$ 123,45.
    #[schemars(range(min = 1, max = 99_999_999_999_i64))]
    pub amount: i64,
    /// Always `BRL`, which is also the default.
    #[serde(default)]
    pub currency: Currency,
    /// The merchant's own order id. While a charge with the same reference is open, a second one is not created
    /// (merchant setting `duplicate_reference`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub reference: Option<String>,
    /// Shown to the payer where the gateway can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 140))]
    pub description: Option<String>,
    /// Who pays.
    pub payer: Payer,
    /// How the payer will pay.
    pub payment_method: PaymentMethod,
    /// The merchant's own keys and values, returned unchanged.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "metadata_schema")]
    pub metadata: Metadata,
    /// Refuse the charge (422) unless at least two connections could take it.
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

/// A currency. Brazil's gateways settle in reais only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Currency {
    #[default]
    BRL,
}

/// A charge as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Charge {
    pub id: ChargeId,
    pub mode: Mode,
    pub status: ChargeStatus,
    /// Amount asked, in centavos.
    pub amount: i64,
    pub currency: Currency,
    /// Sum of the payments received, in centavos. May differ from `amount`.
    pub amount_paid: i64,
    /// Whether more or less than `amount` was paid (fine, interest, discount, a payer's mistake).
    pub amount_mismatch: Option<Mismatch>,
    /// Sum given back, in centavos.
    pub amount_refunded: i64,
    /// Sum claimed back by the payer and not given up, in centavos.
    pub amount_disputed: i64,
    /// What can still be refunded, in centavos: neither given back, being given back, nor claimed back.
    pub amount_refundable: i64,
    /// The merchant's own order id.
    pub reference: Option<String>,
    pub description: Option<String>,
    /// Who pays; masked in events, null once the payer was erased.
    pub payer: Option<Payer>,
    pub payment_method: PaymentMethod,
    /// Where the charge is payable, or was paid; null while no gateway has taken it.
    pub gateway: Option<ChargeGateway>,
    /// What to show to the payer; null unless the charge is payable.
    pub next_action: Option<NextAction>,
    /// Our own page for the payer; null until it exists.
    pub hosted_url: Option<String>,
    /// The last instant at which it can be paid.
    pub expires_at: Instant,
    /// The money received for it.
    pub payments: Vec<Payment>,
    /// Why it failed.
    pub failure: Option<ChargeFailure>,
    /// The connections that could not have taken it, with what they lack.
    pub fallbacks: Vec<Fallback>,
    /// Whether the outcome of an attempt is still unknown: an instrument that is not shown may exist at its gateway, and is being
    /// looked up and voided. While it is `true`, a payment may arrive even after the charge expired or was canceled.
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
    /// The payment method without its parameters.
    pub fn method(&self) -> PaymentMethodKind {
        self.payment_method.kind()
    }
}

/// How the sum received differs from the sum asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    Underpaid,
    Overpaid,
}

/// The connection that holds a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChargeGateway {
    pub kind: GatewayKind,
    pub connection: ConnectionId,
}

/// Why a charge failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChargeFailure {
    /// Stable and machine-readable, e.g. `no_gateway_available`, `refused_by_gateway`.
    pub code: FailureCode,
    /// For people: what happened and what to do.
    pub message: String,
    /// Whether a new charge with the same content may succeed.
    pub retryable: bool,
    /// What the last gateway that rejected it answered.
    pub gateway: Option<GatewayFailure>,
    /// What each gateway answered, in the order in which they were tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<GatewayFailure>,
}

/// The kinds of failure.
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
    /// Every connection was tried or could not be asked.
    NoGatewayAvailable,
    /// Every connection that could take the charge rejected it; `reasons` names what each one answered.
    RefusedByGateway,
    /// The payer's own means were declined.
    Declined,
}

/// What a gateway said when it refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GatewayFailure {
    pub kind: GatewayKind,
    /// The gateway's own error code.
    pub code: String,
    /// The gateway's own words.
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
