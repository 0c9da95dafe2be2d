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
    /// Show the boleto's line to type or copy, or its PDF.
    Boleto {
        /// The line to type (*linha digitável*): 47 digits.
        line: String,
        /// What the bars encode: 44 digits.
        barcode: String,
        /// The slip to print, at the gateway.
        pdf_url: Option<String>,
        /// A BR Code that pays the same boleto by Pix, where the gateway gives one.
        copy_paste: Option<String>,
        /// When it can no longer be paid.
        expires_at: Instant,
    },
    /// Send the payer to the gateway's page.
    Redirect {
        url: String,
        /// When the page can no longer be paid on.
        expires_at: Instant,
    },
}
