//! Boletos: the payer's required data, the expiry, and the digitable line.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::America::Sao_Paulo;

use super::{errors::ApiError, form::Form};

const TAX_ID: &str = "payment_method_data[boleto][tax_id]";
/// Tax id that Stripe accepts in test mode in addition to valid documents.
const TEST_TAX_ID: &str = "00000000000";
/// Number of the bank that registers the boletos.
const BANK: &str = "033";
const FREE_FIELD: usize = 25;

/// Returns the payer's document. Refuses a payer with missing data.
pub(super) fn payer(form: &Form) -> Result<String, ApiError> {
    let tax_id = form.need(TAX_ID)?;
    for name in ["name", "email"] {
        form.need(&format!("payment_method_data[billing_details][{name}]"))?;
    }
    for name in ["line1", "city", "state", "postal_code", "country"] {
        form.need(&format!(
            "payment_method_data[billing_details][address][{name}]"
        ))?;
    }
    let country = "payment_method_data[billing_details][address][country]";
    if form.get(country) != Some("BR") {
        let message =
            "Boleto is only available to customers in Brazil: the billing country must be BR.";
        return Err(ApiError::invalid(None, country, message));
    }
    if is_document(tax_id) {
        Ok(tax_id.to_owned())
    } else {
        let message = "The tax ID you provided is not a valid CPF or CNPJ.";
        Err(ApiError::invalid(Some("tax_id_invalid"), TAX_ID, message))
    }
}

/// Returns the last second of the day that is `days` later in São Paulo.
pub(super) fn end(now: DateTime<Utc>, days: u64) -> DateTime<Utc> {
    let day = now.with_timezone(&Sao_Paulo).date_naive();
    let day = day.checked_add_days(Days::new(days)).unwrap_or(day);
    let last = NaiveTime::from_hms_opt(23, 59, 59).unwrap_or_default();
    let end = Sao_Paulo.from_local_datetime(&day.and_time(last)).latest();
    end.map_or(now, |end| end.with_timezone(&Utc))
}

/// Returns the 47 digits of a boleto. `amount` is in centavos.
pub(super) fn line(amount: i64, due: DateTime<Utc>, random: &str) -> String {
    let due = due.with_timezone(&Sao_Paulo).date_naive();
    let mut free: String = random
        .bytes()
        .map(|byte| char::from(b'0' + byte % 10))
        .collect();
    free.truncate(FREE_FIELD);
    let free = format!("{free:0>FREE_FIELD$}");
    let money = format!("{:04}{amount:010}", factor(due));
    let check = mod_11(&format!("{BANK}9{money}{free}"));
    let field = |digits: String| format!("{digits}{}", mod_10(&digits));
    let first = field(format!("{BANK}9{}", &free[..5]));
    let second = field(free[5..15].to_owned());
    let third = field(free[15..].to_owned());
    format!("{first}{second}{third}{check}{money}")
}

/// Returns the due date factor: days since 7 October 1997. After 9999 it continues with 1000.
fn factor(due: NaiveDate) -> i64 {
    const LAST: i64 = 9_999;
    const FIRST_AGAIN: i64 = 1_000;
    let base = NaiveDate::from_ymd_opt(1997, 10, 7).unwrap_or_default();
    let days = (due - base).num_days();
    if days <= LAST {
        days
    } else {
        (days - FIRST_AGAIN) % (LAST + 1 - FIRST_AGAIN) + FIRST_AGAIN
    }
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> + '_ {
    text.chars().filter_map(|digit| digit.to_digit(10))
}

fn mod_10(text: &str) -> u32 {
    let weighed = digits(text).rev().zip([2, 1].into_iter().cycle());
    let sum: u32 = weighed
        .map(|(digit, weight)| digit * weight / 10 + digit * weight % 10)
        .sum();
    (10 - sum % 10) % 10
}

/// Returns the modulo 11 check digit. 0, 10 and 11 become 1.
fn mod_11(text: &str) -> u32 {
    let sum: u32 = digits(text)
        .rev()
        .zip((2..=9).cycle())
        .map(|(digit, weight)| digit * weight)
        .sum();
    match 11 - sum % 11 {
        0 | 10 | 11 => 1,
        check => check,
    }
}

/// Returns true for a CPF or a CNPJ, with or without letters and punctuation.
fn is_document(text: &str) -> bool {
    const CPF: [u32; 10] = [11, 10, 9, 8, 7, 6, 5, 4, 3, 2];
    const CNPJ: [u32; 13] = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    if plain == TEST_TAX_ID {
        return true;
    }
    let values: Option<Vec<u32>> = plain
        .chars()
        .map(|letter| {
            u32::from(letter)
                .checked_sub(48)
                .filter(|value| *value <= 42)
        })
        .collect();
    let Some(values) = values else {
        return false;
    };
    let same = values.iter().all(|value| *value == values[0]);
    let check = |weights: &[u32], known: usize| {
        let sum: u32 = values[..known]
            .iter()
            .zip(weights)
            .map(|(value, weight)| value * weight)
            .sum();
        let check = if sum % 11 < 2 { 0 } else { 11 - sum % 11 };
        values[known] == check
    };
    match values.len() {
        11 => !same && values.iter().all(|v| *v < 10) && check(&CPF[1..], 9) && check(&CPF, 10),
        14 => !same && check(&CNPJ[1..], 12) && check(&CNPJ, 13),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_checked_by_their_digits() {
        for good in [
            "52998224725",
            "529.982.247-25",
            "11222333000181",
            "12.ABC.345/01DE-35",
            "000.000.000-00",
        ] {
            assert!(is_document(good), "{good}");
        }
        for bad in [
            "52998224724",
            "11111111111",
            "11222333000182",
            "123",
            "",
            "5299822472x",
        ] {
            assert!(!is_document(bad), "{bad}");
        }
    }

    #[test]
    fn the_line_carries_amount_and_day_and_adds_up() {
        let due = Utc.with_ymd_and_hms(2025, 2, 23, 2, 59, 59).unwrap();
        let line = line(12_345, due, "abcdefghijklmnopqrstuvwxyz");
        assert_eq!(line.len(), 47);
        // 22 February 2025 in São Paulo is the first day of the restarted factor
        assert_eq!(&line[33..], "10000000012345");
        for (from, to) in [(0, 9), (10, 20), (21, 31)] {
            assert_eq!(line[to..=to], mod_10(&line[from..to]).to_string());
        }
        let free = [&line[4..9], &line[10..20], &line[21..31]].concat();
        assert_eq!(
            line[32..33],
            mod_11(&format!("{}{}{free}", &line[..4], &line[33..])).to_string()
        );
    }

    #[test]
    fn a_published_boleto_has_our_check_digits() {
        // sample of Banco do Brasil's manual
        let line = "00190500954014481606906809350314337370000000100";
        assert_eq!(line[9..10], mod_10(&line[..9]).to_string());
        assert_eq!(line[20..21], mod_10(&line[10..20]).to_string());
        assert_eq!(line[31..32], mod_10(&line[21..31]).to_string());
        let free = [&line[4..9], &line[10..20], &line[21..31]].concat();
        assert_eq!(
            line[32..33],
            mod_11(&format!("{}{}{free}", &line[..4], &line[33..])).to_string()
        );
    }

    #[test]
    fn a_boleto_ends_with_its_day_in_sao_paulo() {
        let night = Utc.with_ymd_and_hms(2026, 7, 15, 1, 0, 0).unwrap();
        assert_eq!(end(night, 0).to_rfc3339(), "2026-07-15T02:59:59+00:00");
        assert_eq!(end(night, 3).to_rfc3339(), "2026-07-18T02:59:59+00:00");
    }
}
