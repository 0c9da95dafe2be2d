//! What the payer has to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Instant;

/// What to show to the payer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NextAction {
    /// Show the QR code, or let the payer copy its text.
    Pix {
        /// The BR Code: the text to copy, and what the QR code holds.
        copy_paste: String,
        /// A picture of the QR code at the gateway, where it has one.
        qr_code_url: Option<String>,
        /// When the code can no longer be paid.
        expires_at: Instant,
    },
}
