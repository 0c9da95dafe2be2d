//! Days and times of Asaas: local time of São Paulo, without a zone.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::America::Sao_Paulo;
use schemas::Instant;

/// Parses the day of `2026-07-14` or `2026-07-14 17:30:00`.
pub(super) fn day(text: &str) -> Option<NaiveDate> {
    local(text).map(|local| local.date())
}

/// Parses the instant of a day and time, or of the start of a day.
pub(super) fn instant(text: &str) -> Option<Instant> {
    let at = Sao_Paulo.from_local_datetime(&local(text)?).earliest()?;
    Some(at.to_utc())
}

fn local(text: &str) -> Option<NaiveDateTime> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")
        .ok()
        .or_else(|| {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            Some(day.and_time(NaiveTime::MIN))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_sao_paulos() {
        for (text, at) in [
            ("2026-07-14", "2026-07-14T03:00:00+00:00"),
            ("2026-07-14 23:30:00", "2026-07-15T02:30:00+00:00"),
        ] {
            assert_eq!(instant(text).expect("a time").to_rfc3339(), at);
            assert_eq!(day(text), NaiveDate::from_ymd_opt(2026, 7, 14));
        }
        assert_eq!(instant("14/07/2026"), None);
    }
}
