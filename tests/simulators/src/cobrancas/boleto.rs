//! Numbers of a boleto: a 44-digit barcode, and a 47-digit line to type.

use chrono::NaiveDate;

/// Efí's bank number and the currency code of the real.
const BANK: &str = "364";
const REAL: &str = "9";
/// Day on which the due date factor restarted at 1000 (it was 9999 the day before).
const FACTOR_1000: Option<NaiveDate> = NaiveDate::from_ymd_opt(2025, 2, 22);
const FACTORS: i64 = 9_000;
/// Largest amount that fits into a barcode, in centavos.
pub(super) const MAX_AMOUNT: i64 = 9_999_999_999;
/// Number of digits in the bank's own field.
pub(super) const FREE: usize = 25;

/// Returns the 44 digits of the barcode. `free` has 25 digits.
pub(super) fn barcode(due: NaiveDate, amount: i64, free: &str) -> String {
    let rest = format!("{:04}{amount:010}{free}", factor(due));
    let head = format!("{BANK}{REAL}");
    let check = check_of_all(&format!("{head}{rest}"));
    format!("{head}{check}{rest}")
}

/// Returns the due date factor: a day count from 1000 to 9999 that restarts at 1000.
fn factor(due: NaiveDate) -> i64 {
    let begin = FACTOR_1000.unwrap_or_default();
    1_000 + (due - begin).num_days().rem_euclid(FACTORS)
}

/// Returns the day of a factor in the cycle that began in 2025.
#[cfg(test)]
fn day_of(factor: i64) -> NaiveDate {
    FACTOR_1000.unwrap_or_default() + chrono::TimeDelta::days(factor - 1_000)
}

/// Returns the digitable line of a barcode.
pub(super) fn line(barcode: &str) -> String {
    let free = &barcode[19..];
    let fields = [
        format!("{}{}", &barcode[..4], &free[..5]),
        free[5..15].to_owned(),
        free[15..].to_owned(),
    ];
    let written = fields.map(|field| {
        let with_check = format!("{field}{}", check_of_field(&field));
        let (left, right) = with_check.split_at(5);
        format!("{left}.{right}")
    });
    format!(
        "{} {} {}",
        written.join(" "),
        &barcode[4..5],
        &barcode[5..19]
    )
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> {
    text.bytes().map(|byte| u32::from(byte - b'0'))
}

/// Returns the modulo 10 check digit: weights 2 and 1 alternate from the right, and the digits of the products are added.
fn check_of_field(field: &str) -> u32 {
    let weights = [2, 1].into_iter().cycle();
    let products = digits(field).rev().zip(weights).map(|(d, w)| d * w);
    let sum: u32 = products.map(|product| product / 10 + product % 10).sum();
    (10 - sum % 10) % 10
}

/// Returns the modulo 11 check digit: weights 2 to 9 repeat from the right; 0, 10 and 11 become 1.
fn check_of_all(rest: &str) -> u32 {
    let weights = (2..=9).cycle();
    let sum: u32 = digits(rest).rev().zip(weights).map(|(d, w)| d * w).sum();
    match 11 - sum % 11 {
        10 | 11 => 1,
        digit => digit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Example of Banco do Brasil that banks publish.
    const BARS: &str = "00193373700000001000500940144816060680935031";

    #[test]
    fn the_line_of_a_known_barcode_is_known() {
        assert_eq!(
            line(BARS),
            "00190.50095 40144.816069 06809.350314 3 37370000000100"
        );
        assert_eq!(check_of_all(&format!("{}{}", &BARS[..4], &BARS[5..])), 3);
    }

    #[test]
    fn factors_begin_again_after_9999() {
        assert_eq!(factor(day_of(1_000) - chrono::TimeDelta::days(1)), 9_999);
        assert_eq!(factor("2025-02-22".parse().unwrap()), 1_000);
        assert_eq!(factor("2026-07-31".parse().unwrap()), 1_524);
    }

    #[test]
    fn a_barcode_holds_bank_amount_and_due_factor() {
        let due = "2026-07-31".parse().unwrap();
        let bars = barcode(due, 12_345, "0123456789012345678901234");
        assert_eq!(bars.len(), 44);
        assert_eq!((&bars[..4], &bars[5..19]), ("3649", "15240000012345"));
    }
}
