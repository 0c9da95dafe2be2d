//! Parser of payloads.

use super::{
    Account, BrCode, CHECKSUM_LEN, CHECKSUM_TAG, InvalidBrCode, MAX_AMOUNT, MAX_LEN, MAX_LOCATION,
    NO_TXID, PIX, check_txid, checksum, invalid, limited, missing,
};

impl BrCode {
    /// Parses a payload and checks its checksum.
    ///
    /// Accepts the deviations of other writers that payers' banks accept too: overlong names, a transaction
    /// id in a dynamic code, unknown fields, an amount of zero (read as none).
    pub fn parse(text: &str) -> Result<Self, InvalidBrCode> {
        if text.chars().count() > MAX_LEN {
            return Err(InvalidBrCode::Payload);
        }
        let cut = text
            .len()
            .checked_sub(CHECKSUM_LEN)
            .filter(|at| text.is_char_boundary(*at));
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
            amount: fields
                .get("54")
                .map(centavos)
                .transpose()?
                .filter(|amount| *amount > 0),
            name: fields.need("59")?.into(),
            city: fields.need("60")?.into(),
            postal_code: fields.get("61").map(Into::into),
            single_use: fields.get("01") == Some("12"),
        })
    }
}

/// The fields of one level: tag and value, in order.
struct Fields<'a> {
    /// Text before a tag in messages: empty, `26-` or `62-`.
    prefix: &'static str,
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    fn read(prefix: &'static str, text: &'a str) -> Result<Self, InvalidBrCode> {
        let mut read = Self {
            prefix,
            fields: Vec::new(),
        };
        let mut rest = text;
        while !rest.is_empty() {
            let (tag, value, after) = next_field(rest).ok_or_else(|| {
                let tag: String = rest.chars().take(2).collect();
                InvalidBrCode::Malformed {
                    tag: read.name(&tag),
                }
            })?;
            if read.get(tag).is_some() {
                return Err(InvalidBrCode::Repeated {
                    tag: read.name(tag),
                });
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
        self.fields
            .iter()
            .find(|(found, _)| *found == tag)
            .map(|(_, value)| *value)
    }

    fn need(&self, tag: &str) -> Result<&'a str, InvalidBrCode> {
        self.get(tag)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| missing(&self.name(tag)))
    }

    fn expect(&self, tag: &str, value: &str) -> Result<(), InvalidBrCode> {
        if self.need(tag)?.eq_ignore_ascii_case(value) {
            Ok(())
        } else {
            Err(invalid(
                &self.name(tag),
                "is not what a Pix payload holds there",
            ))
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

/// Splits off the first field. Returns its tag, its value and the rest of the text.
fn next_field(text: &str) -> Option<(&str, &str, &str)> {
    let (tag, rest) = text.split_at_checked(2)?;
    let (length, rest) = rest.split_at_checked(2)?;
    if !tag
        .bytes()
        .chain(length.bytes())
        .all(|c| c.is_ascii_digit())
    {
        return None;
    }
    let length: usize = length.parse().ok()?;
    let end = rest
        .char_indices()
        .map(|(at, _)| at)
        .chain([rest.len()])
        .nth(length)?;
    let (value, after) = rest.split_at(end);
    Some((tag, value, after))
}

/// Returns the centavos of `98`, `98.7` or `98.70`, without using a float.
fn centavos(text: &str) -> Result<i64, InvalidBrCode> {
    let (whole, cents) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole
        .bytes()
        .chain(cents.bytes())
        .all(|c| c.is_ascii_digit());
    let amount: Option<i64> = format!("{whole}{cents:0<2}").parse().ok();
    amount
        .filter(|amount| digits && !whole.is_empty() && cents.len() <= 2 && *amount <= MAX_AMOUNT)
        .ok_or_else(|| invalid("54", "is not an amount with up to two decimals"))
}
