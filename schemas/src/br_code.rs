//! Pix copy-and-paste text (BR Code), which is also the content of its QR code.
//!
//! Its fields follow EMV: a two-digit tag, a two-digit length *in characters*, the value. The
//! last field, 63, is a checksum of all the others.

use crc::{CRC_16_IBM_3740, Crc};

mod build;
mod parse;
#[cfg(test)]
mod tests;

/// Maximum number of characters of a payload (BACEN).
pub const MAX_LEN: usize = 512;
/// Maximum number of characters of one value, because its length has two digits.
const MAX_VALUE: usize = 99;
const MAX_NAME: usize = 25;
const MAX_CITY: usize = 15;
const POSTAL_CODE_LEN: usize = 8;
const MAX_LOCATION: usize = 77;
const MAX_TXID: usize = 25;
/// Maximum amount in centavos: R$ 9.999.999.999,99. EMV's limit is thirteen characters.
const MAX_AMOUNT: i64 = 999_999_999_999;

/// Identifier that marks field 26 as Pix.
const PIX: &str = "br.gov.bcb.pix";
/// Transaction id of a code that has none.
const NO_TXID: &str = "***";
/// Tag and length of the checksum field.
const CHECKSUM_TAG: &str = "6304";
const CHECKSUM_LEN: usize = 4;
/// Checksum algorithm, also known as CRC-16/CCITT-FALSE.
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_3740);

/// A Pix payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrCode {
    /// Account that receives the money.
    pub account: Account,
    /// Amount in centavos. If it is `None`, the payer chooses it, or the document of the dynamic code contains it.
    pub amount: Option<i64>,
    /// The receiver's name, up to 25 characters. Written without accents.
    pub name: String,
    /// The receiver's city, up to 15 characters. Written without accents.
    pub city: String,
    /// The receiver's CEP: eight digits.
    pub postal_code: Option<String>,
    /// True if the code can be paid only once (tag 01 = 12).
    pub single_use: bool,
}

/// Account that receives the money of a Pix payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// A dynamic code: the address of the charge's document, without its scheme, up to 77 characters.
    Location(String),
    /// A static code.
    Key {
        /// The receiver's Pix key.
        key: String,
        /// Text for the payer. Written without accents. Together with the key up to 73 characters.
        description: Option<String>,
        /// The receiver's id of the payment: up to 25 letters and digits.
        txid: Option<String>,
    },
}

/// Error for a payload that cannot be written or read. `tag` is the place: `54`, or `26-01` within a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBrCode {
    /// A mandatory field is absent or empty.
    #[error("tag {tag} is missing")]
    Missing {
        /// The field.
        tag: String,
    },
    /// A field has a value that is not allowed.
    #[error("tag {tag} {problem}")]
    Value {
        /// The field.
        tag: String,
        /// The problem, as the continuation of "tag 54".
        problem: &'static str,
    },
    /// A value has too many characters.
    #[error("tag {tag} is longer than {max} characters")]
    TooLong {
        /// The field.
        tag: String,
        /// The limit in characters.
        max: usize,
    },
    /// A field's tag or length is not two digits, or its value ends early.
    #[error("tag {tag} is cut short or not a tag and length")]
    Malformed {
        /// The field, or the text found in its place.
        tag: String,
    },
    /// A field occurs twice.
    #[error("tag {tag} occurs twice")]
    Repeated {
        /// The field.
        tag: String,
    },
    /// More than 512 characters in all.
    #[error("the payload is longer than {MAX_LEN} characters")]
    Payload,
    /// The text was changed or cut.
    #[error("tag 63 is missing or does not match the text before it")]
    Checksum,
}

fn invalid(tag: &str, problem: &'static str) -> InvalidBrCode {
    InvalidBrCode::Value {
        tag: tag.into(),
        problem,
    }
}

fn missing(tag: &str) -> InvalidBrCode {
    InvalidBrCode::Missing { tag: tag.into() }
}

fn checksum(text: &str) -> String {
    format!("{:04X}", CRC.checksum(text.as_bytes()))
}

/// Returns `value`, or an error if it is empty or has more than `max` characters.
fn limited(tag: &str, value: &str, max: usize) -> Result<String, InvalidBrCode> {
    if value.is_empty() {
        return Err(missing(tag));
    }
    if value.chars().count() > max {
        return Err(InvalidBrCode::TooLong {
            tag: tag.into(),
            max,
        });
    }
    Ok(value.into())
}

fn check_txid(txid: &str) -> Result<(), InvalidBrCode> {
    let fits = (1..=MAX_TXID).contains(&txid.len());
    if fits && txid.chars().all(|c| c.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err(invalid("62-05", "is not 1 to 25 letters and digits"))
    }
}
