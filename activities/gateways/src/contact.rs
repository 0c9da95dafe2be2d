//! Contact data of a payer, for gateways that accept them. No gateway requires them for our calls: data that do not fit are omitted, so
//! that no sale is refused for them.

use schemas::payer::Payer;

/// Brazilian phone number with its area code, digits only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phone<'a> {
    /// Eleven digits, the third of which is a 9.
    Mobile(&'a str),
    /// Ten digits.
    Landline(&'a str),
}

impl<'a> Phone<'a> {
    pub(crate) fn digits(self) -> &'a str {
        match self {
            Self::Mobile(digits) | Self::Landline(digits) => digits,
        }
    }
}

/// Returns the payer's phone, if it is a valid number.
pub(crate) fn phone(payer: &Payer) -> Option<Phone<'_>> {
    let digits = payer.phone.as_deref()?;
    match digits.as_bytes() {
        [b'1'..=b'9', b'1'..=b'9', b'9', rest @ ..] if are_digits(rest, 8) => {
            Some(Phone::Mobile(digits))
        }
        [b'1'..=b'9', b'1'..=b'9', b'2'..=b'5', rest @ ..] if are_digits(rest, 7) => {
            Some(Phone::Landline(digits))
        }
        _ => None,
    }
}

fn are_digits(bytes: &[u8], length: usize) -> bool {
    bytes.len() == length && bytes.iter().all(u8::is_ascii_digit)
}

/// Returns the payer's e-mail address, if it has the plain form that every gateway accepts: `^[a-zA-Z0-9._%+-]+@…\.[a-zA-Z]{2,}$`.
pub(crate) fn email(payer: &Payer) -> Option<&str> {
    let email = payer.email.as_deref()?;
    let (name, host) = email.split_once('@')?;
    let (labels, last) = host.rsplit_once('.')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._%+-".contains(c);
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let fits = !name.is_empty()
        && name.chars().all(is_name)
        && labels.split('.').all(is_label)
        && last.len() >= 2
        && last.chars().all(|c| c.is_ascii_alphabetic());
    fits.then_some(email)
}

/// Returns true if the payer has a family name too.
pub(crate) fn has_two_names(payer: &Payer) -> bool {
    payer.name.split_whitespace().nth(1).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payer(email: &str, phone: &str) -> Payer {
        Payer {
            name: "Maria".to_owned(),
            document: "52998224725".parse().expect("a CPF"),
            email: Some(email.to_owned()),
            phone: Some(phone.to_owned()),
            address: None,
        }
    }

    #[test]
    fn a_phone_is_a_mobile_or_a_landline_or_none() {
        for (digits, expected) in [
            ("11987654321", Some(Phone::Mobile("11987654321"))),
            ("1133334444", Some(Phone::Landline("1133334444"))),
            // a zero in the area code; a mobile without its 9; too short; too long
            ("00123456789", None),
            ("10987654321", None),
            ("11887654321", None),
            ("1187654321", None),
            ("113333444", None),
            ("119876543210", None),
            ("+5511987654", None),
            ("", None),
        ] {
            assert_eq!(phone(&payer("a@b.com", digits)), expected, "{digits}");
        }
    }

    #[test]
    fn only_a_plain_address_is_sent() {
        for (address, fits) in [
            ("maria@example.com", true),
            ("maria.silva+loja@mail.example.com.br", true),
            ("maria@localhost", false),
            ("o'neil@example.com", false),
            ("maria@exa..com", false),
            ("maria@example.c", false),
            ("josé@example.com", false),
            ("@example.com", false),
        ] {
            assert_eq!(email(&payer(address, "")).is_some(), fits, "{address}");
        }
    }
}
