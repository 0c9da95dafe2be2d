//! Writer of payloads.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::{
    Account, BrCode, CHECKSUM_TAG, InvalidBrCode, MAX_AMOUNT, MAX_CITY, MAX_LOCATION, MAX_NAME,
    MAX_VALUE, NO_TXID, PIX, POSTAL_CODE_LEN, check_txid, checksum, invalid, limited,
};

impl BrCode {
    /// Writes the payload with its checksum. The limits of the fields ensure that it has far fewer than 512 characters.
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
            text += &field("61", postal_code(code)?);
        }
        text += &field("62", &field("05", self.account.txid()?));
        text += CHECKSUM_TAG;
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
            Self::Key {
                key, description, ..
            } => {
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
        let Self::Key {
            txid: Some(txid), ..
        } = self
        else {
            return Ok(NO_TXID);
        };
        check_txid(txid)?;
        Ok(txid)
    }
}

/// Returns one field. The caller has checked that the value is ASCII of at most 99 characters.
fn field(tag: &str, value: &str) -> String {
    format!("{tag}{:02}{value}", value.len())
}

/// Returns the text without accents. Some readers count bytes and some count characters; both counts are equal only in ASCII.
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

fn decimal(amount: i64) -> Result<String, InvalidBrCode> {
    if (1..=MAX_AMOUNT).contains(&amount) {
        Ok(format!("{}.{:02}", amount / 100, amount % 100))
    } else {
        Err(invalid("54", "is not between 0.01 and 9999999999.99"))
    }
}

fn postal_code(code: &str) -> Result<&str, InvalidBrCode> {
    if code.len() == POSTAL_CODE_LEN && code.bytes().all(|c| c.is_ascii_digit()) {
        Ok(code)
    } else {
        Err(invalid("61", "is not eight digits"))
    }
}
