//! Centavos in the gateways' formats: decimal text, or a JSON number. No float arithmetic: a number is read and written as text.

use serde_json::Number;

const CENTS: i64 = 100;

/// Formats `12345` as `123.45`.
pub(crate) fn decimal(centavos: i64) -> String {
    format!("{}.{:02}", centavos / CENTS, centavos % CENTS)
}

/// Parses `123.45`, `123.4` or `123` as centavos; `None` for any other text.
pub(crate) fn centavos(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 2 || !digits(whole) || !digits(part) {
        return None;
    }
    let cents: i64 = format!("{part:0<2}").parse().ok()?;
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(CENTS)?
        .checked_add(cents)
}

/// Returns `12345` as the JSON number `123.45`, and `12300` as `123`.
pub(crate) fn number(centavos: i64) -> Number {
    let whole = Number::from(centavos / CENTS);
    if centavos % CENTS == 0 {
        return whole;
    }
    decimal(centavos).parse().unwrap_or(whole)
}

/// Returns basis points as the JSON number of their percentage: `150` as `1.5`.
pub(crate) fn percent(bps: u16) -> Number {
    number(i64::from(bps))
}

/// Returns the JSON number `98.01` as centavos.
pub(crate) fn of_number(number: &Number) -> Option<i64> {
    let text = number.to_string();
    centavos(text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_survives_both_forms_to_the_centavo() {
        for amount in [1, 9, 10, 99, 100, 101, 9_801, 12_345, 99_999_999_999] {
            assert_eq!(centavos(&decimal(amount)), Some(amount));
            assert_eq!(of_number(&number(amount)), Some(amount), "{amount}");
        }
        assert_eq!(of_number(&Number::from(100)), Some(10_000));
        assert_eq!(number(10_000).to_string(), "100");
        assert_eq!(percent(200).to_string(), "2");
        assert_eq!(percent(150).to_string(), "1.5");
        for wrong in ["", ".5", "1.234", "-1", "1,00", "1e2", "R$ 1"] {
            assert_eq!(centavos(wrong), None, "{wrong}");
        }
    }
}
