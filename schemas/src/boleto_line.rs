//! Line to type (*linha digitável*) and bar code of a boleto: two forms of the same 44 digits (FEBRABAN).
//!
//! Line: `AAABC.CCCCX DDDDD.DDDDDY EEEEE.EEEEEZ K UUUUVVVVVVVVVV`: bank and currency, a free field of 25 digits in three parts
//! with a check digit each (mod 10), the general check digit (mod 11), due factor, value in centavos.

/// Digits of a boleto.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoletoLine {
    /// The 44 digits of the bar code.
    barcode: String,
}

/// Error for a text that is not the line or bar code of a boleto.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a boleto's line of 47 digits with correct check digits")]
pub struct InvalidLine;

const LINE: usize = 47;
const BARCODE: usize = 44;

impl BoletoLine {
    /// Parses a line with or without punctuation.
    pub fn from_line(text: &str) -> Result<Self, InvalidLine> {
        let digits: String = text
            .chars()
            .filter(|c| !matches!(c, '.' | ' ' | '-'))
            .collect();
        if digits.len() != LINE || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidLine);
        }
        let barcode = format!(
            "{}{}{}{}{}",
            &digits[0..4],
            &digits[32..47],
            &digits[4..9],
            &digits[10..20],
            &digits[21..31],
        );
        let read = Self::from_barcode(&barcode)?;
        if read.line() == digits {
            Ok(read)
        } else {
            Err(InvalidLine)
        }
    }

    /// Parses the 44 digits of a bar code.
    pub fn from_barcode(digits: &str) -> Result<Self, InvalidLine> {
        let right = digits.len() == BARCODE
            && digits.bytes().all(|b| b.is_ascii_digit())
            && digits[4..5] == mod_11(&format!("{}{}", &digits[0..4], &digits[5..]));
        if right {
            Ok(Self {
                barcode: digits.to_owned(),
            })
        } else {
            Err(InvalidLine)
        }
    }

    /// Returns the 44 digits of the bar code.
    pub fn barcode(&self) -> &str {
        &self.barcode
    }

    /// Returns the 47 digits of the line.
    pub fn line(&self) -> String {
        let b = &self.barcode;
        let (first, second, third) = (
            format!("{}{}", &b[0..4], &b[19..24]),
            &b[24..34],
            &b[34..44],
        );
        format!(
            "{first}{}{second}{}{third}{}{}{}",
            mod_10(&first),
            mod_10(second),
            mod_10(third),
            &b[4..5],
            &b[5..19],
        )
    }

    /// Returns the amount in centavos. Zero means any amount.
    pub fn amount(&self) -> i64 {
        self.barcode[9..19].parse().unwrap_or(0)
    }
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> + '_ {
    text.bytes().map(|b| u32::from(b - b'0'))
}

/// Returns the check digit modulo 10, with weights 2, 1, 2… from the right. The digits of each product are added.
fn mod_10(text: &str) -> String {
    let sum: u32 = digits(text)
        .rev()
        .enumerate()
        .map(|(i, d)| {
            if i % 2 == 0 {
                d * 2 / 10 + d * 2 % 10
            } else {
                d
            }
        })
        .sum();
    ((10 - sum % 10) % 10).to_string()
}

/// Returns the check digit modulo 11, with weights 2 to 9 from the right. The results 0, 10 and 11 become 1.
fn mod_11(text: &str) -> String {
    let sum: u32 = digits(text)
        .rev()
        .zip((2..=9).cycle())
        .map(|(d, w)| d * w)
        .sum();
    match 11 - sum % 11 {
        10 | 11 => "1".to_owned(),
        digit => digit.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Example of Banco do Brasil, printed in many bank manuals.
    const LINE: &str = "00190.50095 40144.816069 06809.350314 3 37370000000100";
    const BARCODE: &str = "00193373700000001000500940144816060680935031";

    #[test]
    fn the_banks_own_example_is_read_both_ways() {
        let read = BoletoLine::from_line(LINE).expect("a line");
        assert_eq!(read.barcode(), BARCODE);
        assert_eq!(read.amount(), 100);
        let back = BoletoLine::from_barcode(BARCODE)
            .expect("a bar code")
            .line();
        assert_eq!(back, LINE.replace(['.', ' '], ""));
    }

    proptest! {
        #[test]
        fn a_bar_code_survives_the_trip_through_its_line(free in "[0-9]{25}", factor in 1000..9999_u32, amount in 0..9_999_999_999_i64) {
            let rest = format!("237{}9{factor:04}{amount:010}{free}", "");
            let barcode = format!("{}{}{}", &rest[..4], mod_11(&rest), &rest[4..]);
            let read = BoletoLine::from_barcode(&barcode).expect("a bar code");
            prop_assert_eq!(read.amount(), amount);
            prop_assert_eq!(BoletoLine::from_line(&read.line()), Ok(read));
        }

        #[test]
        fn a_mistyped_digit_is_noticed(at in 0..47_usize, other in 1..10_u8) {
            let mut digits: Vec<u8> = LINE.replace(['.', ' '], "").into_bytes();
            digits[at] = b'0' + (digits[at] - b'0' + other) % 10;
            let text = String::from_utf8(digits).expect("digits");
            prop_assert_eq!(BoletoLine::from_line(&text), Err(InvalidLine));
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = BoletoLine::from_line(&text);
            let _ = BoletoLine::from_barcode(&text);
        }
    }
}
