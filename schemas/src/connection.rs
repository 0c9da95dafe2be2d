//! Connections: a merchant's accounts at gateways.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

/// Status of a connection. Connections are never deleted.
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
pub enum ConnectionStatus {
    /// Takes new charges.
    Active,
    /// Takes no new charges; still receives, finds, cancels and refunds.
    Draining,
    /// Like `draining`, and hidden.
    Archived,
}
