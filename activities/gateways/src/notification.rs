//! Notifications of gateways, parsed.

use schemas::Instant;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::answer::{GatewayCharge, GatewayDispute, GatewayRefund};

/// Request that arrived at a connection's notification address.
#[derive(Clone, Debug)]
pub struct Received {
    /// Headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body as received: signatures cover these bytes.
    pub body: Vec<u8>,
    pub at: Instant,
}

impl Received {
    /// Returns the first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Fact of a notification. One body may contain several.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayNotice {
    /// Deduplication key: repeats of the same fact have the same key (`docs/gateways/README.md#identity-of-a-notification`).
    pub dedupe_key: String,
    /// Gateway's own name of the event.
    pub event: String,
    /// Our reference, if the body repeats it.
    pub reference: Option<String>,
    /// Gateway's id of the charge, if the body contains it.
    pub charge: Option<String>,
    /// Gateway's id of the payment, or its end-to-end id, if only that identifies the charge (disputes).
    pub payment: Option<String>,
    /// Time of the event according to the gateway. `None` if it gives no time, or if the state was read just now.
    pub stated_at: Option<Instant>,
    pub means: NoticeKind,
}

/// Entries of a body or a list. Each is parsed separately, so that an unreadable one hides no other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entries {
    pub notices: Vec<GatewayNotice>,
    pub unreadable: Vec<Unreadable>,
}

/// Entry from the gateway that could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Kind of entry (`efi_pix_entry`, `stripe_refund`): one alert is raised per connection and kind.
    pub kind: &'static str,
    /// Reason, for people. It contains none of the entry's values.
    pub why: String,
}

impl Unreadable {
    /// Returns an unreadable entry of `kind`.
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

/// Conclusion that a notice permits.
#[derive(Clone, Debug, PartialEq)]
pub enum NoticeKind {
    /// Proved by signature or token: the charge's state.
    ChargeState(Box<GatewayCharge>),
    /// Proved: a refund.
    Refund(Box<GatewayRefund>),
    /// Proved: a dispute.
    Dispute(Box<GatewayDispute>),
    /// Token without other data: `Gateway::fetch` fetches the entries that it identifies, and acknowledges it.
    Token(String),
    /// Unproved, or without the state: the gateway must be read.
    Hint,
    /// Nothing about a charge that we act on; stored and acknowledged.
    Nothing,
}

/// State in a proved notice, in the form that is stored until it is applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    Charge(Box<GatewayCharge>),
    Refund(Box<GatewayRefund>),
    Dispute(Box<GatewayDispute>),
}

impl NoticeKind {
    /// Returns the state, if it is proved.
    pub fn observed(&self) -> Option<Observed> {
        match self {
            Self::ChargeState(charge) => Some(Observed::Charge(charge.clone())),
            Self::Refund(refund) => Some(Observed::Refund(refund.clone())),
            Self::Dispute(dispute) => Some(Observed::Dispute(dispute.clone())),
            Self::Token(_) | Self::Hint | Self::Nothing => None,
        }
    }
}

/// Notification that is not proved to be from the gateway: answered with 401 and not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("forged: {0}")]
pub struct Forged(pub &'static str);

/// Secret that proves notifications. It belongs to one registration of our address.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Gateway's id of the registration. `None`: the secret is stored, but the gateway has not confirmed the registration.
    pub id: Option<String>,
    pub secret: SecretString,
    /// Expiry of a former secret. `None`: the current one.
    pub valid_until: Option<Instant>,
}

impl Registration {
    /// Returns the secrets that prove a notification received at that instant.
    pub(crate) fn proving(all: &[Self], at: Instant) -> impl Iterator<Item = &SecretString> {
        all.iter()
            .filter(move |one| one.valid_until.is_none_or(|until| at <= until))
            .map(|one| &one.secret)
    }

    /// Returns the gateway's id of the newest current registration.
    pub(crate) fn current(all: &[Self]) -> Option<&str> {
        let mut current = all.iter().filter(|one| one.valid_until.is_none());
        current.next()?.id.as_deref()
    }
}
