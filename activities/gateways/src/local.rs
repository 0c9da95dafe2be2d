//! Days and times of gateways that write them without a zone, in São Paulo's local time.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::America::Sao_Paulo;
use schemas::Instant;

/// Parses `2026-07-14 17:15:00`, or `2026-07-14` as the start of that day.
pub(crate) fn instant(text: &str) -> Option<Instant> {
    let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")
        .ok()
        .or_else(|| Some(day(text)?.and_time(NaiveTime::MIN)))?;
    Some(Sao_Paulo.from_local_datetime(&local).earliest()?.to_utc())
}

/// Parses the day of `2026-07-14`, with or without a time after it.
pub(crate) fn day(text: &str) -> Option<NaiveDate> {
    text.get(..10)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_zone_is_sao_paulos() {
        let at = |text| instant(text).map(|at| at.to_rfc3339());
        assert_eq!(
            at("2026-07-14 22:15:00").as_deref(),
            Some("2026-07-15T01:15:00+00:00")
        );
        assert_eq!(
            at("2026-07-14").as_deref(),
            Some("2026-07-14T03:00:00+00:00")
        );
        assert_eq!(day("2026-07-14 23:30:00"), day("2026-07-14"));
        assert_eq!(at("14/07/2026"), None);
        assert_eq!(at("é um dia qualquer"), None);
    }
}
