//! `Retry-After`, in both of its forms.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// Returns the wait that an answer requests: seconds, or until a date. A date is counted from the answer's own `Date`, so that the
/// server's clock does not matter, or else from `now`. A past or unreadable date requests no wait.
pub fn retry_after(headers: &HeaderMap, now: Option<DateTime<Utc>>) -> Option<Duration> {
    let asked = text(headers, RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    let answered_at = text(headers, DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    let from = answered_at.or(now.map(SystemTime::from))?;
    until
        .duration_since(from)
        .ok()
        .filter(|wait| !wait.is_zero())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(retry_after: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().expect("a value"));
        if let Some(date) = date {
            headers.insert(DATE, date.parse().expect("a value"));
        }
        let now = "2026-11-26T10:00:00Z".parse().expect("an instant");
        super::retry_after(&headers, Some(now)).map(|wait| wait.as_secs())
    }

    #[test]
    fn both_forms_ask_for_the_same_wait() {
        assert_eq!(asked("60", None), Some(60));
        assert_eq!(asked(" 60 ", None), Some(60));
        assert_eq!(asked("Thu, 26 Nov 2026 10:01:00 GMT", None), Some(60));
        // the two obsolete forms of a date
        assert_eq!(asked("Thursday, 26-Nov-26 10:01:00 GMT", None), Some(60));
        assert_eq!(asked("Thu Nov 26 10:01:00 2026", None), Some(60));
    }

    #[test]
    fn a_date_is_counted_by_the_clock_of_the_server_that_gave_it() {
        let date = Some("Thu, 26 Nov 2026 09:00:00 GMT");
        assert_eq!(asked("Thu, 26 Nov 2026 09:00:30 GMT", date), Some(30));
    }

    #[test]
    fn past_dates_and_nonsense_ask_for_nothing() {
        assert_eq!(asked("Thu, 26 Nov 2026 09:59:00 GMT", None), None);
        assert_eq!(asked("Thu, 26 Nov 2026 10:00:00 GMT", None), None);
        for nonsense in [
            "-5",
            "1.5",
            "soon",
            "",
            "99999999999999999999",
            "2026-11-26T10:01:00Z",
        ] {
            assert_eq!(asked(nonsense, None), None, "{nonsense}");
        }
        assert_eq!(super::retry_after(&HeaderMap::new(), None), None);
    }
}
