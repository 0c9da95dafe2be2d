//! The Pix copy-and-paste text (BR Code), which is also what its QR code holds.
//!
//! EMV's tag, length, value: a two-digit tag, a two-digit length *in characters*, the value; the
//! last field, 63, is a checksum over all the others.

use crc::{CRC_16_IBM_3740, Crc};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Most characters of a whole payload (BACEN).
pub const MAX_LEN: usize = 512;
/// Most characters of one value, which the two digits of its length allow.
const MAX_VALUE: usize = 99;
const MAX_NAME: usize = 25;
const MAX_CITY: usize = 15;
const MAX_POSTAL_CODE: usize = 10;
const MAX_LOCATION: usize = 77;
const MAX_TXID: usize = 25;
/// R$ 9.999.999.999,99: thirteen characters, EMV's limit.
const MAX_AMOUNT: i64 = 999_999_999_999;

/// What says that field 26 speaks of Pix.
const PIX: &str = "br.gov.bcb.pix";
/// The transaction id of a code that has none.
const NO_TXID: &str = "***";
/// The checksum field before its value.
const CHECKSUM_TAG: &str = "6304";
const CHECKSUM_LEN: usize = 4;
/// Known as CRC-16/CCITT-FALSE.
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_3740);

/// A Pix payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrCode {
    /// Where the money goes.
    pub account: Account,
    /// In centavos; none: the payer chooses, or the dynamic code's document tells.
    pub amount: Option<i64>,
    /// The receiver's name, up to 25 characters; written without accents.
    pub name: String,
    /// The receiver's city, up to 15 characters; written without accents.
    pub city: String,
    /// The receiver's CEP.
    pub postal_code: Option<String>,
    /// Whether it may be paid only once (tag 01 = 12).
    pub single_use: bool,
}

/// Where the money of a Pix payload goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// A dynamic code: the address of the charge's document, without its scheme, up to 77 characters.
    Location(String),
    /// A static code.
    Key {
        /// The receiver's Pix key.
        key: String,
        /// Text for the payer; written without accents. With the key up to 73 characters.
        description: Option<String>,
        /// The receiver's id of the payment: up to 25 letters and digits.
        txid: Option<String>,
    },
}

/// Why a payload cannot be written or read. `tag` is where: `54`, or `26-01` within a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBrCode {
    /// A mandatory field is absent or empty.
    #[error("tag {tag} is missing")]
    Missing {
        /// The field.
        tag: String,
    },
    /// A field holds something it may not hold.
    #[error("tag {tag} {problem}")]
    Value {
        /// The field.
        tag: String,
        /// What is wrong, after the words "tag 54".
        problem: &'static str,
    },
    /// A value has more characters than fit.
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
        /// The field, or what stands in its place.
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
    InvalidBrCode::Value { tag: tag.into(), problem }
}

fn missing(tag: &str) -> InvalidBrCode {
    InvalidBrCode::Missing { tag: tag.into() }
}

fn checksum(text: &str) -> String {
    format!("{:04X}", CRC.checksum(text.as_bytes()))
}

// ------------------------------------------------------------------------------------- writing

impl BrCode {
    /// Writes the payload, its checksum included.
    pub fn build(&self) -> Result<String, InvalidBrCode> {
        let mut text = field("00", "01");
        if self.single_use {
            text += &field("01", "12");
        }
        text += &field("26", &self.account.build()?);
        text += "520400005303986";
        if let Some(amount) = self.amount {
            text += &field("54", &decimal(amount)?);
        }
        text += "5802BR";
        text += &field("59", &limited("59", &plain("59", &self.name)?, MAX_NAME)?);
        text += &field("60", &limited("60", &plain("60", &self.city)?, MAX_CITY)?);
        if let Some(code) = &self.postal_code {
            text += &field("61", &limited("61", &plain("61", code)?, MAX_POSTAL_CODE)?);
        }
        text += &field("62", &field("05", self.account.txid()?));
        text += CHECKSUM_TAG;
        if text.len() + CHECKSUM_LEN > MAX_LEN {
            return Err(InvalidBrCode::Payload);
        }
        Ok(format!("{text}{}", checksum(&text)))
    }
}

impl Account {
    fn build(&self) -> Result<String, InvalidBrCode> {
        let mut text = field("00", PIX);
        match self {
            Self::Location(location) => {
                let location = graphic("26-25", location)?;
                if location.contains("://") {
                    return Err(invalid("26-25", "must not begin with a scheme"));
                }
                text += &field("25", &limited("26-25", location, MAX_LOCATION)?);
            }
            Self::Key { key, description, .. } => {
                text += &field("01", &limited("26-01", graphic("26-01", key)?, MAX_VALUE)?);
                if let Some(description) = description {
                    let description = plain("26-02", description)?;
                    text += &field("02", &limited("26-02", &description, MAX_VALUE)?);
                }
            }
        }
        limited("26", &text, MAX_VALUE)
    }

    fn txid(&self) -> Result<&str, InvalidBrCode> {
        let Self::Key { txid: Some(txid), .. } = self else {
            return Ok(NO_TXID);
        };
        check_txid(txid)?;
        Ok(txid)
    }
}

/// One field. The value is ASCII of at most 99 characters by now.
fn field(tag: &str, value: &str) -> String {
    format!("{tag}{:02}{value}", value.len())
}

/// Refuses an empty or overlong value.
fn limited(tag: &str, value: &str, max: usize) -> Result<String, InvalidBrCode> {
    if value.is_empty() {
        return Err(missing(tag));
    }
    if value.chars().count() > max {
        return Err(InvalidBrCode::TooLong { tag: tag.into(), max });
    }
    Ok(value.into())
}

/// The text without accents: some readers count bytes, some characters, and only ASCII is the same for both.
fn plain(tag: &str, text: &str) -> Result<String, InvalidBrCode> {
    let plain: String = text.nfkd().filter(|c| !is_combining_mark(*c)).collect();
    if plain.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        Ok(plain)
    } else {
        Err(invalid(tag, "holds a character that has no plain form"))
    }
}

fn graphic<'a>(tag: &str, text: &'a str) -> Result<&'a str, InvalidBrCode> {
    if text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(invalid(tag, "holds a blank or a character outside ASCII"))
    }
}

fn check_txid(txid: &str) -> Result<(), InvalidBrCode> {
    let fits = (1..=MAX_TXID).contains(&txid.len());
    if fits && txid.chars().all(|c| c.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err(invalid("62-05", "is not 1 to 25 letters and digits"))
    }
}

fn decimal(amount: i64) -> Result<String, InvalidBrCode> {
    if (1..=MAX_AMOUNT).contains(&amount) {
        Ok(format!("{}.{:02}", amount / 100, amount % 100))
    } else {
        Err(invalid("54", "is not between 0.01 and 9999999999.99"))
    }
}

// ------------------------------------------------------------------------------------- reading

impl BrCode {
    /// Reads a payload and checks its checksum.
    ///
    /// What other writers do although they should not, and payers' banks accept, is accepted: overlong
    /// names, a transaction id in a dynamic code, unknown fields, an amount of zero (taken as none).
    pub fn parse(text: &str) -> Result<Self, InvalidBrCode> {
        if text.chars().count() > MAX_LEN {
            return Err(InvalidBrCode::Payload);
        }
        let cut = text.len().checked_sub(CHECKSUM_LEN).filter(|at| text.is_char_boundary(*at));
        let (body, found) = text.split_at(cut.ok_or(InvalidBrCode::Checksum)?);
        if !body.ends_with(CHECKSUM_TAG) || found != checksum(body) {
            return Err(InvalidBrCode::Checksum);
        }
        let fields = Fields::read("", text)?;
        fields.expect("00", "01")?;
        fields.expect("53", "986")?;
        fields.expect("58", "BR")?;
        Ok(Self {
            account: fields.account()?,
            amount: fields.get("54").map(centavos).transpose()?.filter(|amount| *amount > 0),
            name: fields.need("59")?.into(),
            city: fields.need("60")?.into(),
            postal_code: fields.get("61").map(Into::into),
            single_use: fields.get("01") == Some("12"),
        })
    }
}

/// The fields of one level: tag and value, in their order.
struct Fields<'a> {
    /// What precedes a tag in messages: empty, or `26-`.
    prefix: &'static str,
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    fn read(prefix: &'static str, text: &'a str) -> Result<Self, InvalidBrCode> {
        let mut read = Self { prefix, fields: Vec::new() };
        let mut rest = text;
        while !rest.is_empty() {
            let (tag, value, after) = next_field(rest).ok_or_else(|| {
                let tag: String = rest.chars().take(2).collect();
                InvalidBrCode::Malformed { tag: read.name(&tag) }
            })?;
            if read.get(tag).is_some() {
                return Err(InvalidBrCode::Repeated { tag: read.name(tag) });
            }
            read.fields.push((tag, value));
            rest = after;
        }
        Ok(read)
    }

    fn name(&self, tag: &str) -> String {
        format!("{}{tag}", self.prefix)
    }

    fn get(&self, tag: &str) -> Option<&'a str> {
        self.fields.iter().find(|(found, _)| *found == tag).map(|(_, value)| *value)
    }

    fn need(&self, tag: &str) -> Result<&'a str, InvalidBrCode> {
        self.get(tag).filter(|value| !value.is_empty()).ok_or_else(|| missing(&self.name(tag)))
    }

    fn expect(&self, tag: &str, value: &str) -> Result<(), InvalidBrCode> {
        if self.need(tag)?.eq_ignore_ascii_case(value) {
            Ok(())
        } else {
            Err(invalid(&self.name(tag), "is not what a Pix payload holds there"))
        }
    }

    fn account(&self) -> Result<Account, InvalidBrCode> {
        let pix = Self::read("26-", self.need("26")?)?;
        pix.expect("00", PIX)?;
        if let Some(location) = pix.get("25") {
            return Ok(Account::Location(limited("26-25", location, MAX_LOCATION)?));
        }
        let additional = Self::read("62-", self.get("62").unwrap_or_default())?;
        let txid = additional.get("05").filter(|txid| *txid != NO_TXID);
        txid.map(check_txid).transpose()?;
        Ok(Account::Key {
            key: pix.need("01")?.into(),
            description: pix.get("02").map(Into::into),
            txid: txid.map(Into::into),
        })
    }
}

/// Splits off the first field: tag, value, and what comes after.
fn next_field(text: &str) -> Option<(&str, &str, &str)> {
    let (tag, rest) = text.split_at_checked(2)?;
    let (length, rest) = rest.split_at_checked(2)?;
    if !tag.bytes().chain(length.bytes()).all(|c| c.is_ascii_digit()) {
        return None;
    }
    let length: usize = length.parse().ok()?;
    let end = rest.char_indices().map(|(at, _)| at).chain([rest.len()]).nth(length)?;
    let (value, after) = rest.split_at(end);
    Some((tag, value, after))
}

/// `98`, `98.7` and `98.70` in centavos, without passing through a float.
fn centavos(text: &str) -> Result<i64, InvalidBrCode> {
    let (whole, cents) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.bytes().chain(cents.bytes()).all(|c| c.is_ascii_digit());
    let amount: Option<i64> = format!("{whole}{cents:0<2}").parse().ok();
    amount
        .filter(|amount| digits && !whole.is_empty() && cents.len() <= 2 && *amount <= MAX_AMOUNT)
        .ok_or_else(|| invalid("54", "is not an amount with up to two decimals"))
}

#[cfg(test)]
#[path = "br_code_tests.rs"]
mod tests;
