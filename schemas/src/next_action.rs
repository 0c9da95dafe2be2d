//! Next action of the payer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Instant;

/// Instrument to show to the payer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NextAction {
    /// Pix: show the QR code, or let the payer copy its text.
    Pix {
        /// BR Code: the text to copy, which is also the content of the QR code.
        copy_paste: String,
        /// URL of an image of the QR code at the gateway, if it has one.
        qr_code_url: Option<String>,
        /// Last instant at which the code can be paid.
        expires_at: Instant,
    },
    /// Boleto: show the line to type or copy, or the PDF.
    Boleto {
        /// Line to type (*linha digitável*): 47 digits.
        line: String,
        /// Content of the bar code: 44 digits.
        barcode: String,
        /// URL of the slip to print, at the gateway.
        pdf_url: Option<String>,
        /// BR Code that pays the same boleto by Pix, if the gateway provides one.
        copy_paste: Option<String>,
        /// Last instant at which the boleto can be paid.
        expires_at: Instant,
    },
    /// Redirect: send the payer to the gateway's page.
    Redirect {
        /// URL of the gateway's page.
        url: String,
        /// Last instant at which the payer can pay on the page.
        expires_at: Instant,
    },
}
