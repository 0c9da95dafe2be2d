//! Bodies of requests.

use axum::{
    RequestExt,
    body::{self, Bytes},
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use schemars::JsonSchema;
use schemas::validate::{Checked, Checker};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::error::Error as _;
use tower_http::timeout::TimeoutError;

use crate::{App, Code, Error};

/// Length of an escape: `\u` and four hexadecimal digits.
const ESCAPE_LEN: usize = 6;

/// JSON body that passed the check of its schema, with its canonical form.
pub(crate) struct Body<T>(pub(crate) Checked<T>);

impl<T> FromRequest<App> for Body<T>
where
    T: JsonSchema + DeserializeOwned,
    App: AsRef<Checker<T>>,
{
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        let body = Bytes::from_request(request, app).await?;
        check(app, json(&body)?).map(Self)
    }
}

/// JSON body of a request without required fields. An empty body is an empty object.
pub(crate) struct OptionalBody<T>(pub(crate) Checked<T>);

impl<T> FromRequest<App> for OptionalBody<T>
where
    T: JsonSchema + DeserializeOwned,
    App: AsRef<Checker<T>>,
{
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        let body = Bytes::from_request(request, app).await?;
        let value = if body.is_empty() {
            Value::Object(Map::new())
        } else {
            json(&body)?
        };
        check(app, value).map(Self)
    }
}

fn check<T>(app: &App, value: Value) -> Result<Checked<T>, Error>
where
    T: JsonSchema + DeserializeOwned,
    App: AsRef<Checker<T>>,
{
    let checked = AsRef::<Checker<T>>::as_ref(app).check(value);
    checked.map_err(|errors| Error::fields(Code::InvalidRequest, errors))
}

/// Receives the whole body before the request is handled, so that a slow client holds neither a permit nor a connection to the database.
pub(crate) async fn whole(request: Request, next: Next) -> Result<Response, Error> {
    let (mut parts, body) = request.with_limited_body().into_parts();
    let bytes = Bytes::from_request(Request::new(body), &()).await?;
    parts.headers.remove(axum::http::header::TRANSFER_ENCODING);
    Ok(next
        .run(Request::from_parts(parts, body::Body::from(bytes)))
        .await)
}

impl From<BytesRejection> for Error {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::new(Code::BodyTooLarge, "the body exceeds the maximum size");
        }
        let mut cause = rejection.source();
        while let Some(error) = cause {
            if error.is::<TimeoutError>() {
                return Self::new(Code::RequestTimeout, "the body did not arrive in time");
            }
            cause = error.source();
        }
        Self::new(Code::MalformedBody, "the body did not arrive completely")
    }
}

/// Returns a body as JSON. Replaces a lone surrogate, which JSON can escape and text cannot contain, by NUL; the check of the request then
/// names its field.
fn json(body: &[u8]) -> Result<Value, Error> {
    let read = serde_json::from_slice(body);
    let read = read.or_else(|error| match without_lone_surrogates(body) {
        Some(body) => serde_json::from_slice(&body),
        None => Err(error),
    });
    read.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Error::new(
            Code::MalformedBody,
            format!("the body is not JSON at line {line} column {column}"),
        )
    })
}

/// Returns `body` with `\u0000` in place of each escaped lone surrogate, or `None` if there is none.
fn without_lone_surrogates(body: &[u8]) -> Option<Vec<u8>> {
    let escape = |at: usize| {
        let digits = body.get(at..at + ESCAPE_LEN)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mut copied, mut found, mut at) = (Vec::with_capacity(body.len()), false, 0);
    while at < body.len() {
        let length = match escape(at) {
            Some(0xD800..=0xDBFF) if matches!(escape(at + ESCAPE_LEN), Some(0xDC00..=0xDFFF)) => {
                2 * ESCAPE_LEN
            }
            Some(0xD800..=0xDFFF) => {
                copied.extend_from_slice(b"\\u0000");
                found = true;
                at += ESCAPE_LEN;
                continue;
            }
            // An escaped backslash does not begin another escape.
            _ if body[at] == b'\\' => 2,
            _ => 1,
        };
        copied.extend_from_slice(&body[at..(at + length).min(body.len())]);
        at += length;
    }
    found.then_some(copied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_surrogate_pair_is_read_as_a_control_character() {
        for (body, text) in [
            (r#"{"a":"\ud800"}"#, "\0"),
            (r#"{"a":"x\uDC00y"}"#, "x\0y"),
            (r#"{"a":"\ud83d\ude00\ud83d"}"#, "😀\0"),
            (r#"{"a":"\\\ud800"}"#, "\\\0"),
        ] {
            assert_eq!(json(body.as_bytes()).expect("JSON")["a"], text, "{body}");
        }
        for body in [r#"{"a":"\ud8"}"#, r#"{"a":"\u"#, "{\"a\":\"\\", "{", ""] {
            let error = json(body.as_bytes()).expect_err("no JSON");
            assert_eq!(error.code(), Code::MalformedBody, "{body}");
        }
    }
}
