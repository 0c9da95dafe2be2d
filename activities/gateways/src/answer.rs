//! What a gateway answers, in our words.

use std::fmt;

use chrono::NaiveDate;
use schemas::{Instant, dispute, next_action::NextAction, payment_method::PaymentMethodKind};
use serde::{Deserialize, Serialize};
use url::Url;

/// A charge as it stands at a gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatewayCharge {
    /// The gateway's own id (`txid`, `pi_…`, `pay_…`).
    pub id: String,
    /// Our reference, if the gateway repeated it.
    pub reference: Option<String>,
    pub status: GatewayStatus,
    /// Asked, in centavos.
    pub amount: i64,
    /// What to show to the payer, while payable.
    pub next_action: Option<NextAction>,
    /// The money received so far.
    pub payments: Vec<GatewayPayment>,
    /// The payer's id at the gateway, if it has one.
    pub customer: Option<String>,
    /// Money given back so far, ours and others'.
    #[serde(default)]
    pub refunds: Vec<GatewayRefund>,
    /// Money claimed back.
    #[serde(default)]
    pub disputes: Vec<GatewayDispute>,
}

impl GatewayCharge {
    /// An instrument known by its ids alone, enough to cancel it.
    pub fn known(id: impl Into<String>, reference: impl Into<String>, amount: i64) -> Self {
        Self {
            id: id.into(),
            reference: Some(reference.into()),
            status: GatewayStatus::Pending,
            amount,
            next_action: None,
            payments: Vec::new(),
            customer: None,
            refunds: Vec::new(),
            disputes: Vec::new(),
        }
    }
}

/// Where a charge stands at a gateway (`docs/gateways/README.md#statuses-side-by-side`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayStatus {
    Pending,
    Overdue,
    Paid,
    Failed,
    Expired,
    Canceled,
    Refunded,
    Disputed,
}

impl GatewayStatus {
    /// Whether the payer could still pay it.
    pub fn is_payable(self) -> bool {
        matches!(self, Self::Pending | Self::Overdue)
    }
}

/// Money received, as the gateway tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatewayPayment {
    /// Unique within the connection (`endToEndId`, `py_…`, `pay_…`).
    pub id: String,
    pub end_to_end_id: Option<String>,
    /// In centavos.
    pub amount: i64,
    pub method: PaymentMethodKind,
    /// What the gateway keeps, in centavos, if it tells.
    pub fee: Option<i64>,
    /// What arrives, in centavos, if it tells.
    pub net: Option<i64>,
    /// Card only: into how many monthly installments it was split, if it tells.
    #[serde(default)]
    pub installments: Option<u16>,
    /// When the money is expected in the merchant's balance, if it tells.
    #[serde(default)]
    pub settles_on: Option<NaiveDate>,
    /// When it arrived there, if it tells.
    #[serde(default)]
    pub settled_on: Option<NaiveDate>,
    pub paid_at: Instant,
}

/// Money given back, as the gateway tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayRefund {
    /// Unique within the payment.
    pub id: String,
    /// Our reference (`RefundId::reference`), if the gateway repeated it; none: somebody else asked for it.
    pub reference: Option<String>,
    /// The payment it belongs to: `GatewayPayment::id`.
    pub payment: String,
    /// In centavos.
    pub amount: i64,
    pub status: RefundStatus,
    /// The gateway's own word for why it failed, or waits.
    pub reason: Option<String>,
    /// When it was asked for, if the gateway tells.
    pub created_at: Option<Instant>,
}

/// Where a refund stands at a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// Under way, or waiting for a person at the gateway.
    Pending,
    Succeeded,
    /// It will not happen, or was undone.
    Failed,
}

/// Money claimed back, as the gateway tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayDispute {
    /// Unique within the connection.
    pub id: String,
    /// The payment that is claimed back: `GatewayPayment::id`, or its end-to-end id.
    pub payment: String,
    /// In centavos.
    pub amount: i64,
    pub kind: dispute::DisputeKind,
    pub status: dispute::DisputeStatus,
    /// The gateway's own word for why.
    pub reason: Option<String>,
    /// Until when it can be answered.
    pub respond_by: Option<Instant>,
    /// When it was opened, if the gateway tells.
    pub created_at: Option<Instant>,
}

/// Whose account the credentials open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Stays the same when credentials of the same account are renewed, and tells accounts apart.
    pub fingerprint: String,
    /// Whether real money moves, if the gateway tells.
    pub live: Option<bool>,
}

/// Something that a look at a connection's set-up at its gateway found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Stable and machine-readable: `notifications_interrupted`, `address_missing`, `address_replaced`, `certificate_expires`.
    pub code: &'static str,
    /// For people: what was found, and what to do unless it was repaired.
    pub message: String,
    /// Whether it was put right.
    pub repaired: bool,
}

/// The result of such a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    pub issues: Vec<Issue>,
    /// Our address must be registered again, for this reason.
    pub lost: Option<Issue>,
}

/// What registering our notification address gave.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subscription {
    /// Registered; nothing to remember.
    Done,
    /// Registered under the gateway's own id.
    Registered {
        id: String,
        /// The secret that the gateway made, which it reports only once. None: it took the token that we gave.
        secret: Option<String>,
    },
    /// Registered in place of somebody else's address, to be given back when the connection is.
    Replaced { former: Url },
    /// Somebody else's address is registered there, and was left alone.
    Taken {
        /// The address found.
        by: String,
    },
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "Done",
            Self::Registered { .. } => "Registered",
            // an address may hold a secret
            Self::Replaced { .. } => "Replaced",
            Self::Taken { .. } => "Taken",
        })
    }
}
