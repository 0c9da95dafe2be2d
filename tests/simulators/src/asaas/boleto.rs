//! Numbers of a boleto by FEBRABAN's rules: a 44-digit barcode, and the 47-digit line that people type.

use chrono::NaiveDate;

/// Asaas's bank number.
const BANK: &str = "461";
/// Currency code of the real.
const CURRENCY: &str = "9";
/// Branch and account of the free field: the account that collects the money.
const COLLECTOR: &str = "000100000019";

/// Returns the barcode of the charge with this number. `amount` is in centavos.
pub(super) fn barcode(number: u64, due: NaiveDate, amount: i64) -> String {
    let rest = format!("{:04}{amount:010}{COLLECTOR}{number:013}", factor(due));
    let without = format!("{BANK}{CURRENCY}{rest}");
    format!("{BANK}{CURRENCY}{}{rest}", modulo_11(&without))
}

/// Returns the digitable line of a barcode.
pub(super) fn line(barcode: &str) -> String {
    let (head, check, rest) = (&barcode[..4], &barcode[4..5], &barcode[5..19]);
    let free = &barcode[19..];
    let field = |digits: String| {
        let check = modulo_10(&digits);
        format!("{digits}{check}")
    };
    [
        field(format!("{head}{}", &free[..5])),
        field(free[5..15].to_owned()),
        field(free[15..].to_owned()),
        check.to_owned(),
        rest.to_owned(),
    ]
    .concat()
}

/// Returns the due date factor: days since 7 October 1997. After 9999 it continued with 1000, on 22 February 2025.
fn factor(due: NaiveDate) -> i64 {
    let first = NaiveDate::from_ymd_opt(1997, 10, 7).unwrap_or_default();
    let days = (due - first).num_days();
    (days - 1000).rem_euclid(9000) + 1000
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> {
    text.chars().filter_map(|c| c.to_digit(10))
}

fn modulo_11(text: &str) -> u32 {
    let weighted = digits(text).rev().zip((2..=9).cycle());
    let sum: u32 = weighted.map(|(digit, weight)| digit * weight).sum();
    match 11 - sum % 11 {
        10 | 11 => 1,
        digit => digit,
    }
}

fn modulo_10(text: &str) -> u32 {
    let weighted = digits(text).rev().zip([2, 1].into_iter().cycle());
    let sum: u32 = weighted
        .map(|(digit, weight)| digit * weight)
        .map(|product| product / 10 + product % 10)
        .sum();
    (10 - sum % 10) % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published example of Banco do Brasil.
    const BARCODE: &str = "00193373700000001000500940144816060680935031";
    const LINE: &str = "00190500954014481606906809350314337370000000100";

    #[test]
    fn the_published_line_comes_from_the_published_barcode() {
        assert_eq!(line(BARCODE), LINE);
        let without = format!("{}{}", &BARCODE[..4], &BARCODE[5..]);
        assert_eq!(modulo_11(&without).to_string(), &BARCODE[4..5]);
    }

    #[test]
    fn the_factor_begins_again_in_2025() {
        let day = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).unwrap();
        assert_eq!(factor(day(2000, 7, 3)), 1000);
        assert_eq!(factor(day(2025, 2, 21)), 9999);
        assert_eq!(factor(day(2025, 2, 22)), 1000);
    }

    #[test]
    fn lengths_are_those_of_the_rules() {
        let due = NaiveDate::from_ymd_opt(2026, 12, 1).unwrap();
        let code = barcode(12_745_149, due, 35_000);
        assert_eq!((code.len(), line(&code).len()), (44, 47));
        assert!(line(&code).ends_with("0000035000"));
    }
}
