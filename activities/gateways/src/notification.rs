//! What gateways tell us.

use schemas::Instant;
use secrecy::SecretString;
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
    /// Repeats of the same fact carry the same key (`docs/gateways/README.md#identity-of-a-notification`).
    pub dedupe_key: String,
    /// The gateway's own name for what happened.
    pub event: String,
    /// Our reference, if the body repeats it.
    pub reference: Option<String>,
    /// The gateway's id of the charge, if the body names one.
    pub charge: Option<String>,
    /// The gateway's id of the payment, or its end-to-end id, where only that tells which charge it is about (disputes).
    pub payment: Option<String>,
    /// When the gateway says that it happened. None where it does not say, or where the state was read just now.
    pub stated_at: Option<Instant>,
    pub means: NoticeKind,
}

/// What was read of a body or a list: each entry by itself, so that one that cannot be read hides no other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entries {
    pub notices: Vec<GatewayNotice>,
    pub unreadable: Vec<Unreadable>,
}

/// An entry that is the gateway's and was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Names the kind of entry (`efi_pix_entry`, `stripe_refund`): one alert is raised per connection and kind.
    pub kind: &'static str,
    /// For people. Holds none of the entry's values.
    pub why: String,
}

impl Unreadable {
    /// An entry of `kind` that could not be read.
    pub fn new(kind: &'static str, why: impl Into<String>) -> Self {
        Self {
            kind,
            why: why.into(),
        }
    }
}

impl From<Unreadable> for Entries {
    fn from(entry: Unreadable) -> Self {
        Self {
            notices: Vec::new(),
            unreadable: vec![entry],
        }
    }
}

impl From<Vec<GatewayNotice>> for Entries {
    fn from(notices: Vec<GatewayNotice>) -> Self {
        Self {
            notices,
            unreadable: Vec::new(),
        }
    }
}

impl Entries {
    /// Adds the entries of another part of the same body or list.
    pub(crate) fn extend(&mut self, more: impl Into<Self>) {
        let more = more.into();
        self.notices.extend(more.notices);
        self.unreadable.extend(more.unreadable);
    }
}

/// What may be concluded from a notice.
#[derive(Clone, Debug, PartialEq)]
pub enum NoticeKind {
    /// Proved by signature or token: the charge stands so.
    ChargeState(Box<GatewayCharge>),
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

impl NoticeKind {
    /// What it states, if it is proved.
    pub fn observed(&self) -> Option<Observed> {
        match self {
            Self::ChargeState(charge) => Some(Observed::Charge(charge.clone())),
            Self::Refund(refund) => Some(Observed::Refund(refund.clone())),
            Self::Dispute(dispute) => Some(Observed::Dispute(dispute.clone())),
            Self::Token(_) | Self::Hint | Self::Nothing => None,
        }
    }
}

/// A notification that is not proved to be the gateway's: answer 401, keep nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("forged: {0}")]
pub struct Forged(pub &'static str);

/// A secret that proves notifications, which belongs to one registration of our address.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The gateway's id of the registration. None: stored before the gateway received it, and not confirmed.
    pub id: Option<String>,
    pub secret: SecretString,
    /// The end of a former secret. None: the current one.
    pub valid_until: Option<Instant>,
}

impl Registration {
    /// The secrets that prove a notification of that instant.
    pub(crate) fn proving(all: &[Self], at: Instant) -> impl Iterator<Item = &SecretString> {
        all.iter()
            .filter(move |one| one.valid_until.is_none_or(|until| at <= until))
            .map(|one| &one.secret)
    }

    /// The gateway's id of the current registration, the newest first.
    pub(crate) fn current(all: &[Self]) -> Option<&str> {
        let mut current = all.iter().filter(|one| one.valid_until.is_none());
        current.next()?.id.as_deref()
    }
}
