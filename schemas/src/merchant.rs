//! Who charges, and the keys that prove it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumString};

use crate::{breaker, fee::Prices, payment_method::Kind};

/// Whether a merchant may act.
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
pub enum Status {
    Active,
    /// Creates nothing, and still receives, refunds and delivers.
    Suspended,
    Closed,
}

/// What an API key may do. Each permission includes the ones before it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    AsRefStr,
    Display,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Permission {
    Read,
    Payments,
    Configuration,
}

/// What happens when a second charge is asked for under the `reference` of an open one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateReference {
    /// The open charge is returned; another amount or method is a 409.
    #[default]
    ReturnOpen,
    /// 409.
    Reject,
    /// A second charge is created.
    Allow,
}

/// What happens to a charge after an attempt whose outcome nobody knows yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// The next gateway is tried; whatever the first one created is voided.
    #[default]
    Failover,
    /// The charge waits until the outcome is known.
    Hold,
}

/// A merchant's settings. Every one has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub duplicate_reference: DuplicateReference,
    /// By payment method: `{"boleto": "hold"}`. Where nothing is told, a boleto waits for up to a minute, and then goes on.
    pub on_unknown: BTreeMap<Kind, OnUnknown>,
    pub breaker: breaker::Settings,
    /// What the gateways keep of a payment, where it differs from their lists: `{"efi": {"pix": {"bps": 99}}}`.
    pub prices: Prices,
}
