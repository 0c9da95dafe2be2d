//! How a payer pays.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumString};

/// A payment method without its parameters.
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
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    Pix,
}

/// How the payer will pay, with the method's own parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum PaymentMethod {
    /// Pix: an instant transfer started with a QR code or its text.
    Pix {
        /// Seconds until the code can no longer be paid; one hour unless told.
        #[serde(default = "default_pix_expiry_s")]
        #[schemars(range(min = 60, max = 1_209_600))]
        expires_in: i64,
    },
}

/// One hour.
fn default_pix_expiry_s() -> i64 {
    3600
}

impl PaymentMethod {
    /// The method without its parameters.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Pix { .. } => Kind::Pix,
        }
    }

    /// Seconds from creation to the last payable instant.
    pub fn payable_for_s(&self) -> i64 {
        match self {
            Self::Pix { expires_in } => *expires_in,
        }
    }
}
