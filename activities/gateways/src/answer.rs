//! What a gateway answers, in our words.

use std::fmt;

use schemas::{Instant, next_action::NextAction, payment_method::Kind};
use serde::{Deserialize, Serialize};

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
}

/// Where a charge stands at a gateway (`GATEWAYS.md` §5.1).
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
    pub method: Kind,
    /// What the gateway keeps, in centavos, if it tells.
    pub fee: Option<i64>,
    /// What arrives, in centavos, if it tells.
    pub net: Option<i64>,
    pub paid_at: Instant,
}

/// Whose account the credentials open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Stays the same when credentials of the same account are renewed, and tells accounts apart.
    pub fingerprint: String,
    /// Whether real money moves, if the gateway tells.
    pub live: Option<bool>,
}

/// What registering our notification address gave.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subscription {
    /// Registered; nothing to remember.
    Done,
    /// Registered; notifications are proved with this secret, told only once.
    Secret(String),
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
            Self::Secret(_) => "Secret([redacted])",
            Self::Taken { .. } => "Taken",
        })
    }
}
