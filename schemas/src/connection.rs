//! A merchant's account at a gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumString};

/// What a connection is used for. Connections are never deleted.
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
pub enum ConnectionStatus {
    /// Takes new charges.
    Active,
    /// Takes no new charge; still receives, finds, cancels, refunds.
    Draining,
    /// As draining, and hidden.
    Archived,
}
