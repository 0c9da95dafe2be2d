//! Brazilian calendar: days in `America/Sao_Paulo`, and the business days of banks.
//!
//! It is implemented here because the crates for Brazil's calendar lack the holidays of recent laws
//! (20 November, Lei 14.759/2023).

use chrono::{Datelike, Days, NaiveDate, NaiveTime, TimeZone, Weekday};
use chrono_tz::America::Sao_Paulo;

use crate::Instant;

/// National bank holidays on fixed days: month, day, first year in force.
const FIXED: [(u32, u32, i32); 9] = [
    (1, 1, 1900),
    (4, 21, 1900),
    (5, 1, 1900),
    (9, 7, 1900),
    (10, 12, 1980),
    (11, 2, 1900),
    (11, 15, 1900),
    (11, 20, 2024),
    (12, 25, 1900),
];
/// Bank holidays in days from Easter: Carnival's Monday and Tuesday, Good Friday, Corpus Christi.
const MOVING: [i64; 4] = [-48, -47, -2, 60];
/// Upper limit of consecutive days off. The longest run (a weekend between two holidays) is shorter.
const MOST_DAYS_OFF: usize = 10;

/// Returns the day in Brazil at `now`.
pub fn today(now: Instant) -> NaiveDate {
    now.with_timezone(&Sao_Paulo).date_naive()
}

/// Returns the last second of `day` in Brazil.
pub fn end_of(day: NaiveDate) -> Instant {
    let last = NaiveTime::from_hms_opt(23, 59, 59).unwrap_or(NaiveTime::MIN);
    Sao_Paulo
        .from_local_datetime(&day.and_time(last))
        .latest()
        .map_or(Instant::MAX_UTC, |at| at.to_utc())
}

/// Returns `day` if banks settle on it, else the next day on which they do.
pub fn business_day_from(day: NaiveDate) -> NaiveDate {
    day.iter_days()
        .take(MOST_DAYS_OFF)
        .find(|day| is_business_day(*day))
        .unwrap_or(day)
}

/// Returns the `n`-th business day after `day`.
pub fn business_days_after(day: NaiveDate, n: u16) -> NaiveDate {
    (0..n).fold(day, |day, _| {
        day.checked_add_days(Days::new(1))
            .map_or(day, business_day_from)
    })
}

/// Returns true if banks settle on `day`.
pub fn is_business_day(day: NaiveDate) -> bool {
    !matches!(day.weekday(), Weekday::Sat | Weekday::Sun) && !is_holiday(day)
}

fn is_holiday(day: NaiveDate) -> bool {
    let fixed = FIXED
        .iter()
        .any(|(m, d, from)| (day.month(), day.day()) == (*m, *d) && day.year() >= *from);
    let moving = easter(day.year())
        .is_some_and(|easter| MOVING.contains(&day.signed_duration_since(easter).num_days()));
    fixed || moving
}

/// Returns Easter Sunday of the Gregorian calendar, by the anonymous algorithm (Meeus/Jones/Butcher).
#[expect(
    clippy::many_single_char_names,
    reason = "the algorithm is published with these names"
)]
fn easter(year: i32) -> Option<NaiveDate> {
    let a = year % 19;
    let (b, c) = (year / 100, year % 100);
    let (d, e) = (b / 4, b % 4);
    let g = (8 * b + 13) / 25;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let n = h + l - 7 * m + 114;
    NaiveDate::from_ymd_opt(
        year,
        u32::try_from(n / 31).ok()?,
        u32::try_from(n % 31 + 1).ok()?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn easter_falls_where_the_church_has_it() {
        for (year, on) in [
            (2024, "2024-03-31"),
            (2025, "2025-04-20"),
            (2026, "2026-04-05"),
            (2027, "2027-03-28"),
            (2038, "2038-04-25"),
        ] {
            assert_eq!(easter(year), Some(day(on)));
        }
    }

    #[test]
    fn banks_are_closed_on_the_published_holidays_of_2026() {
        for off in [
            "2026-01-01",
            "2026-02-16",
            "2026-02-17",
            "2026-04-03",
            "2026-04-21",
            "2026-05-01",
            "2026-06-04",
            "2026-09-07",
            "2026-10-12",
            "2026-11-02",
            "2026-11-15",
            "2026-11-20",
            "2026-12-25",
            "2026-11-28",
            "2026-11-29",
        ] {
            assert!(!is_business_day(day(off)), "{off}");
        }
        for on in ["2026-02-18", "2026-11-19", "2026-12-24", "2023-11-20"] {
            assert!(is_business_day(day(on)), "{on}");
        }
    }

    #[test]
    fn a_day_off_moves_to_the_next_business_day() {
        assert_eq!(business_day_from(day("2026-12-25")), day("2026-12-28"));
        assert_eq!(business_days_after(day("2026-12-24"), 2), day("2026-12-29"));
    }

    #[test]
    fn a_day_ends_at_three_in_the_morning_utc() {
        assert_eq!(
            end_of(day("2026-11-25")).to_rfc3339(),
            "2026-11-26T02:59:59+00:00"
        );
        assert_eq!(today(end_of(day("2026-11-25"))), day("2026-11-25"));
    }
}
