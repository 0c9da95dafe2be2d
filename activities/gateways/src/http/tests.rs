use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;

const HTML: &str = "<html><body>Attention Required!</body></html>";
const JSON: &str = r#"{"errors":[]}"#;

fn answer(status: u16, body: &str, headers: &[(&'static str, &str)]) -> Answer {
    let headers = headers.iter().map(|(name, value)| {
        let value = HeaderValue::from_str(value).expect("a value");
        (HeaderName::from_static(name), value)
    });
    Answer {
        status,
        headers: headers.collect::<HeaderMap>(),
        body: body.as_bytes().to_vec(),
    }
}

#[test]
fn a_failed_create_is_definite_only_where_it_must_be() {
    use ErrorClass::{Declined, Denied, NotCreated, Rejected, Throttled, Unknown};
    for (status, json, blank, html) in [
        (301, NotCreated, NotCreated, NotCreated),
        (302, NotCreated, NotCreated, NotCreated),
        (308, NotCreated, NotCreated, NotCreated),
        (400, Rejected, Unknown, Unknown),
        (401, Denied, Denied, Unknown),
        (402, Declined, Unknown, Unknown),
        (403, Denied, Denied, NotCreated),
        (404, Rejected, NotCreated, NotCreated),
        (405, Rejected, NotCreated, NotCreated),
        (408, Unknown, Unknown, Unknown),
        (409, Unknown, Unknown, Unknown),
        (410, Rejected, Unknown, Unknown),
        (413, Rejected, NotCreated, NotCreated),
        (422, Rejected, Unknown, Unknown),
        (424, Unknown, Unknown, Unknown),
        (429, Throttled, Throttled, NotCreated),
        (500, Unknown, Unknown, Unknown),
        (503, Unknown, Unknown, Unknown),
    ] {
        for (body, expected) in [(JSON, json), ("", blank), (" \n", blank), (HTML, html)] {
            let error = answer(status, body, &[]).error(Effect::Creates, None, None);
            assert_eq!(error.class, expected, "{status} {body}");
        }
    }
}

#[test]
fn an_intermediary_never_proves_that_something_is_absent() {
    let empty = answer(404, "", &[]).error(Effect::Reads, None, None);
    assert_eq!(
        (empty.class, empty.code.as_str()),
        (ErrorClass::Rejected, "http_404")
    );
    for (status, body) in [
        (404, HTML),
        (404, "[]"),
        (404, "no"),
        (302, ""),
        (302, JSON),
    ] {
        let error = answer(status, body, &[]).error(Effect::Reads, Some("http_404"), None);
        assert_eq!(
            (error.class, error.code.as_str()),
            (ErrorClass::NotCreated, FOREIGN)
        );
        assert!(error.message.contains(&status.to_string()), "{error}");
    }
    let broken = answer(502, HTML, &[]).error(Effect::Reads, None, None);
    assert_eq!(
        (broken.class, broken.code.as_str()),
        (ErrorClass::NotCreated, "http_502")
    );
}

#[test]
fn both_forms_of_retry_after_are_the_same_wait() {
    let date = ("date", "Thu, 26 Nov 2026 12:00:00 GMT");
    let wait = |status, headers: &[_]| {
        let error = answer(status, JSON, headers).error(Effect::Creates, None, None);
        error.retry_after.map(|wait| wait.as_secs())
    };
    for (asked, expected) in [
        ("60", Some(60)),
        (" 7 ", Some(7)),
        ("Thu, 26 Nov 2026 12:01:00 GMT", Some(60)),
        ("Thursday, 26-Nov-26 12:01:00 GMT", Some(60)),
        // past, unreadable, and longer than is accepted
        ("Thu, 26 Nov 2026 11:59:00 GMT", None),
        ("soon", None),
        ("-5", None),
        ("999999999", Some(3_600)),
        ("Fri, 26 Nov 2027 12:01:00 GMT", Some(3_600)),
    ] {
        assert_eq!(
            wait(503, &[date, ("retry-after", asked)]),
            expected,
            "{asked}"
        );
    }
    // without the gateway's clock a date is meaningless
    assert_eq!(
        wait(503, &[("retry-after", "Thu, 26 Nov 2026 12:01:00 GMT")]),
        None
    );
    assert_eq!(wait(429, &[("ratelimit-reset", "9")]), Some(9));
    assert_eq!(wait(400, &[("ratelimit-reset", "9")]), None);
}

#[test]
fn only_an_alert_about_our_certificate_is_a_denial() {
    for alert in [
        AlertDescription::UnknownCA,
        AlertDescription::CertificateExpired,
    ] {
        assert!(is_about_certificate(alert));
    }
    for alert in [
        AlertDescription::InternalError,
        AlertDescription::CloseNotify,
    ] {
        assert!(!is_about_certificate(alert));
    }
}
