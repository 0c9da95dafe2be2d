//! What gateways tell us.

use schemas::Instant;
use serde::{Deserialize, Serialize};

use crate::answer::{GatewayCharge, GatewayDispute, GatewayRefund};

/// A request that arrived at a connection's notification address.
#[derive(Clone, Debug)]
pub struct Received {
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// The bytes as they came: signatures are over these.
    pub body: Vec<u8>,
    pub at: Instant,
}

impl Received {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// One fact of a notification. One body may hold several.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayNotice {
    /// Repeats of the same fact carry the same key (`GATEWAYS.md` §5.3).
    pub dedupe_key: String,
    /// The gateway's own name for what happened.
    pub event: String,
    /// Our reference, if the body repeats it.
    pub reference: Option<String>,
    /// The gateway's id of the charge, if the body names one.
    pub charge: Option<String>,
    /// The gateway's id of the payment, or its end-to-end id, where only that tells which charge it is about (disputes).
    pub payment: Option<String>,
    pub means: Means,
}

/// What may be concluded from a notice.
#[derive(Clone, Debug, PartialEq)]
pub enum Means {
    /// Proved by signature or token: the charge stands so.
    Stands(Box<GatewayCharge>),
    /// Proved: money was given back so.
    Refund(Box<GatewayRefund>),
    /// Proved: money is claimed back so.
    Dispute(Box<GatewayDispute>),
    /// The body is a token and nothing else: `Gateway::fetch` tells what it stands for, and acknowledges it.
    Token(String),
    /// Unproved, or without the state: ask the gateway.
    Hint,
    /// Nothing about a charge that we act on; kept and acknowledged.
    Nothing,
}

/// What a proved notice states, in the form in which it waits to be applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    Charge(Box<GatewayCharge>),
    Refund(Box<GatewayRefund>),
    Dispute(Box<GatewayDispute>),
}

impl Means {
    /// What it states, if it is proved.
    pub fn observed(&self) -> Option<Observed> {
        match self {
            Self::Stands(charge) => Some(Observed::Charge(charge.clone())),
            Self::Refund(refund) => Some(Observed::Refund(refund.clone())),
            Self::Dispute(dispute) => Some(Observed::Dispute(dispute.clone())),
            Self::Token(_) | Self::Hint | Self::Nothing => None,
        }
    }
}

/// Why a notification is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotificationError {
    /// Not from the gateway: answer 401, keep nothing.
    #[error("forged: {0}")]
    Forged(&'static str),
    /// Proved to be the gateway's, yet not understood: keep it raw, acknowledge it, alert.
    #[error("unreadable: {0}")]
    Unreadable(String),
}
