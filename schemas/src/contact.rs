//! Brazilian contact data: formats of names, addresses, telephone numbers, states and postal codes.

use serde::{Deserialize, Deserializer};

/// JSON Schema `format` of a name.
pub const NAME_FORMAT: &str = "name";
/// JSON Schema `format` of a part of an address.
pub const ADDRESS_FORMAT: &str = "address-line";
/// JSON Schema `format` of a telephone number.
pub const PHONE_FORMAT: &str = "br-phone";
/// JSON Schema `format` of a postal code.
pub const POSTAL_CODE_FORMAT: &str = "cep";

/// Brazil's states and the Federal District.
pub const STATES: [&str; 27] = [
    "AC", "AL", "AM", "AP", "BA", "CE", "DF", "ES", "GO", "MA", "MG", "MS", "MT", "PA", "PB", "PE",
    "PI", "PR", "RJ", "RN", "RO", "RR", "RS", "SC", "SE", "SP", "TO",
];

/// Area codes (DDD) assigned by Anatel.
const AREA_CODES: [u8; 67] = [
    11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 24, 27, 28, 31, 32, 33, 34, 35, 37, 38, 41, 42, 43,
    44, 45, 46, 47, 48, 49, 51, 53, 54, 55, 61, 62, 63, 64, 65, 66, 67, 68, 69, 71, 73, 74, 75, 77,
    79, 81, 82, 83, 84, 85, 86, 87, 88, 89, 91, 92, 93, 94, 95, 96, 97, 98, 99,
];

/// Length of a landline number: area code and eight digits.
const LANDLINE_LEN: usize = 10;
/// Length of a mobile number: area code and nine digits.
const MOBILE_LEN: usize = 11;
const COUNTRY_CODE: &str = "55";
const POSTAL_CODE_LEN: usize = 8;
/// First postal code in use, in the center of São Paulo.
const FIRST_POSTAL_CODE: &str = "01000000";

/// Returns the 10 digits of a landline or the 11 of a mobile, without punctuation and country code; `None` if it is neither.
pub fn phone(text: &str) -> Option<String> {
    let plain = without(text, &['(', ')', '-', '.', '+', ' ']);
    let plain = match plain.strip_prefix(COUNTRY_CODE) {
        Some(rest) if rest.len() >= LANDLINE_LEN => rest,
        _ => &plain,
    };
    if !plain.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let area: u8 = plain.get(..2)?.parse().ok()?;
    let first = plain.as_bytes().get(2)?;
    let fits = match plain.len() {
        LANDLINE_LEN => matches!(first, b'2'..=b'5'),
        MOBILE_LEN => *first == b'9',
        _ => false,
    };
    (fits && AREA_CODES.contains(&area)).then(|| plain.to_owned())
}

/// Returns true if a number returned by [`phone`] is a mobile number.
pub fn is_mobile(phone: &str) -> bool {
    phone.len() == MOBILE_LEN
}

/// Returns the eight digits of a postal code (CEP); `None` if it cannot be one.
pub fn postal_code(text: &str) -> Option<String> {
    let plain = without(text, &['-', '.', ' ']);
    let digits = plain.len() == POSTAL_CODE_LEN && plain.bytes().all(|c| c.is_ascii_digit());
    (digits && plain.as_str() >= FIRST_POSTAL_CODE).then_some(plain)
}

/// Returns true if `text` may be the name of a person, a company or a place: it has a letter, and at least two letters or digits.
pub fn is_name(text: &str) -> bool {
    text.chars().any(char::is_alphabetic)
        && text.chars().filter(|c| c.is_alphanumeric()).count() >= 2
}

/// Returns true if `text` may be a part of an address: it has a letter or a digit.
pub fn is_address_line(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

fn without(text: &str, punctuation: &[char]) -> String {
    text.chars().filter(|c| !punctuation.contains(c)).collect()
}

/// Reads a telephone number. A number stored under older rules is returned unchanged.
pub(crate) fn read_phone<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let given = Option::<String>::deserialize(from)?;
    Ok(given.map(|text| phone(&text).unwrap_or(text)))
}

/// Reads a postal code. A code stored under older rules is returned unchanged.
pub(crate) fn read_postal_code<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    Ok(postal_code(&text).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_are_read_with_and_without_punctuation() {
        for (given, digits) in [
            ("11987654321", "11987654321"),
            ("(11) 98765-4321", "11987654321"),
            ("+55 11 98765.4321", "11987654321"),
            ("5511987654321", "11987654321"),
            ("55987654321", "55987654321"),
            ("(55) 3222-1111", "5532221111"),
            ("555532221111", "5532221111"),
            ("11 3333-4444", "1133334444"),
        ] {
            assert_eq!(phone(given).as_deref(), Some(digits), "{given}");
        }
        assert!(is_mobile("11987654321") && !is_mobile("1133334444"));
    }

    #[test]
    fn numbers_that_no_one_can_have_are_no_phones() {
        for text in [
            "",
            "987654321",
            "20987654321",
            "00000000000",
            "11887654321",
            "1198765432",
            "1100000000",
            "119876543210",
            "11 9876A-4321",
            "1198765432५",
            "+1 212 555 0100",
        ] {
            assert_eq!(phone(text), None, "{text}");
        }
    }

    #[test]
    fn postal_codes_are_eight_digits_from_the_first_in_use() {
        for (given, digits) in [
            ("01310-100", Some("01310100")),
            ("01.310-100", Some("01310100")),
            ("99999999", Some("99999999")),
            ("00000000", None),
            ("00999999", None),
            ("0131010", None),
            ("0131010A", None),
        ] {
            assert_eq!(postal_code(given).as_deref(), digits, "{given}");
        }
    }

    #[test]
    fn a_name_has_letters() {
        for (text, named) in [
            ("Ana", true),
            ("3M", true),
            ("李明", true),
            ("A", false),
            ("12345678909", false),
            ("...", false),
            ("-", false),
        ] {
            assert_eq!(is_name(text), named, "{text}");
        }
        assert!(is_address_line("S/N") && is_address_line("7") && !is_address_line("--"));
    }
}
