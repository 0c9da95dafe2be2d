//! Input of requests. All invalid fields are reported at once.

use std::{borrow::Cow, str::FromStr, time::Duration};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request, path::ErrorKind, rejection::PathRejection},
    http::{HeaderMap, request::Parts},
};
use schemas::{
    page::{DEFAULT_LIMIT, MAX_LIMIT},
    problem::FieldError,
    text,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::page::Range;
use url::form_urlencoded;
use uuid::Uuid;

use crate::{Code, Error};

const MAX_IDEMPOTENCY_KEY: usize = 255;
/// Maximum time for a request's body to arrive. It bounds the connection of a client that sends byte by byte.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Replacement of bytes that are not UTF-8.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;
/// Length of an escape: `\u` and four hexadecimal digits.
const ESCAPE_LEN: usize = 6;

/// JSON body of any shape. The handler checks it after authentication.
pub struct Body(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        arrive(request, state, BODY_WITHIN).await.map(Self)
    }
}

async fn arrive<S: Send + Sync>(
    request: Request,
    state: &S,
    within: Duration,
) -> Result<Bytes, Error> {
    let arrived = tokio::time::timeout(within, Bytes::from_request(request, state)).await;
    let late = |_| Error::new(Code::RequestTimeout, "the body did not arrive in time");
    Ok(arrived.map_err(late)??)
}

impl Body {
    /// Returns the body as JSON. Replaces a lone surrogate, which JSON can escape and text cannot contain, by NUL; the check of the request
    /// then names its field.
    pub fn json(&self) -> Result<Value, Error> {
        let read = serde_json::from_slice(&self.0);
        let read = read.or_else(|error| match without_lone_surrogates(&self.0) {
            Some(body) => serde_json::from_slice(&body),
            None => Err(error),
        });
        read.map_err(|error| {
            Error::new(
                Code::MalformedBody,
                format!(
                    "not JSON at line {} column {}",
                    error.line(),
                    error.column()
                ),
            )
        })
    }
}

impl Body {
    /// Returns the body as JSON. An empty body is an empty object.
    pub fn json_or_empty(&self) -> Result<Value, Error> {
        if self.0.is_empty() {
            Ok(Value::Object(serde_json::Map::new()))
        } else {
            self.json()
        }
    }
}

/// Returns `body` with `\u0000` in place of each escaped lone surrogate, or `None` if there is none.
fn without_lone_surrogates(body: &[u8]) -> Option<Vec<u8>> {
    let escape = |at: usize| {
        let digits = body.get(at..at + ESCAPE_LEN)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mut kept, mut found, mut at) = (Vec::with_capacity(body.len()), false, 0);
    while at < body.len() {
        let length = match escape(at) {
            Some(0xD800..=0xDBFF) if matches!(escape(at + ESCAPE_LEN), Some(0xDC00..=0xDFFF)) => {
                2 * ESCAPE_LEN
            }
            Some(0xD800..=0xDFFF) => {
                kept.extend_from_slice(b"\\u0000");
                found = true;
                at += ESCAPE_LEN;
                continue;
            }
            // An escaped backslash does not begin another escape.
            _ if body[at] == b'\\' => 2,
            _ => 1,
        };
        kept.extend_from_slice(&body[at..(at + length).min(body.len())]);
        at += length;
    }
    found.then_some(kept)
}

/// Parameters of the path. A path that is not UTF-8 is reported as a problem.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        match read {
            Ok(axum::extract::Path(parameters)) => Ok(Self(parameters)),
            Err(PathRejection::FailedToDeserializePathParams(why)) => match why.into_kind() {
                ErrorKind::InvalidUtf8InPathParam { key } => Err(not_text(&key)),
                _ => Err(Error::new(Code::NotFound, "this address does not exist")),
            },
            Err(_) => Err(Error::new(Code::NotFound, "this address does not exist")),
        }
    }
}

fn not_text(name: &str) -> Error {
    let wrong = FieldError::new(
        name,
        "characters",
        "must be UTF-8 without control characters",
    );
    Error::fields(Code::InvalidRequest, vec![wrong])
}

/// Returns the `Idempotency-Key`, if one was sent.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY {
        return Err(no_key("it must have 1 to 255 printable ASCII characters"));
    }
    Ok(Some(key))
}

/// Returns the `Idempotency-Key` of a request that requires one.
pub fn needed_idempotency_key(headers: &HeaderMap) -> Result<&str, Error> {
    idempotency_key(headers)?.ok_or_else(|| {
        no_key("a charge is created only under a key, so that a repeat never charges twice")
    })
}

fn no_key(why: &str) -> Error {
    Error::new(Code::IdempotencyKeyRequired, why)
}

/// Parses an id in the path. Returns "not found" for an id that does not have our format.
pub fn path_id<T: FromStr>(text: &str, what: &str) -> Result<T, Error> {
    if text::normal(text).is_err() {
        return Err(not_text("id"));
    }
    text.parse().map_err(|_| Error::not_found(what))
}

/// Query string, read parameter by parameter.
pub struct Params<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    errors: Vec<FieldError>,
}

impl<'a> Params<'a> {
    /// Parses a query string. No parameter is checked at this point.
    pub fn new(query: Option<&'a str>) -> Self {
        Self {
            pairs: form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect(),
            errors: Vec::new(),
        }
    }

    /// Returns an optional parameter. `expected` describes valid values for the error message.
    pub fn optional<T: FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        let at = self.pairs.iter().position(|(key, _)| key == name)?;
        let (_, value) = self.pairs.remove(at);
        let read = match text::normal(&value) {
            Ok(text) if text.is_empty() => Err(("required", "must not be blank")),
            Ok(text) if !text.contains(REPLACEMENT) => {
                text.parse().map_err(|_| ("invalid", expected))
            }
            _ => Err(("characters", "must be UTF-8 without control characters")),
        };
        read.map_err(|(code, why)| self.errors.push(FieldError::new(name, code, why)))
            .ok()
    }

    /// Reads `limit`, `starting_after` and `ending_before`. `Id` is the type of the list's ids.
    pub fn range<Id: FromStr>(&mut self, uuid: impl Fn(Id) -> Uuid) -> Range {
        let limit = self
            .optional("limit", "must be a whole number from 1 to 100")
            .unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            self.errors.push(FieldError::new(
                "limit",
                "range",
                "must be a whole number from 1 to 100",
            ));
        }
        let after = self
            .optional::<Id>("starting_after", "must be an id of this list")
            .map(&uuid);
        let before = self
            .optional::<Id>("ending_before", "must be an id of this list")
            .map(&uuid);
        if after.is_some() && before.is_some() {
            self.errors.push(FieldError::new(
                "ending_before",
                "conflict",
                "cannot be combined with `starting_after`",
            ));
        }
        Range {
            limit,
            after,
            before,
        }
    }

    /// Returns an error for all parameters that were invalid, unknown, or sent twice.
    pub fn finish(mut self) -> Result<(), Error> {
        for (name, _) in &self.pairs {
            let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            self.errors.push(FieldError::new(
                name,
                "unknown",
                "is not a parameter of this request, or was given twice",
            ));
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Error::fields(Code::InvalidRequest, self.errors))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body as Sent;
    use futures::stream;

    fn wrong(query: &str) -> String {
        let mut params = Params::new(Some(query));
        let _: Option<String> = params.optional("reference", "must be text");
        params.finish().expect_err("is wrong").detail().to_owned()
    }

    #[test]
    fn a_parameter_that_is_no_text_is_named() {
        for query in ["reference=%00", "reference=a%0Ab", "reference=%FF"] {
            assert!(
                wrong(query).contains("`reference` must be UTF-8"),
                "{query}"
            );
        }
        assert!(wrong("reference=").contains("`reference` must not be blank"));
        assert!(wrong("reference=%20").contains("`reference` must not be blank"));
    }

    #[test]
    fn half_a_surrogate_pair_is_read_as_a_control_character() {
        for (body, text) in [
            (r#"{"a":"\ud800"}"#, "\0"),
            (r#"{"a":"x\uDC00y"}"#, "x\0y"),
            (r#"{"a":"\ud83d\ude00\ud83d"}"#, "😀\0"),
            (r#"{"a":"\\\ud800"}"#, "\\\0"),
        ] {
            let read = Body(Bytes::from_static(body.as_bytes())).json();
            assert_eq!(read.expect("JSON")["a"], text, "{body}");
        }
        for body in [r#"{"a":"\ud8"}"#, r#"{"a":"\u"#, "{\"a\":\"\\", "{", ""] {
            let read = Body(Bytes::from_static(body.as_bytes())).json();
            assert_eq!(
                read.expect_err("no JSON").code(),
                Code::MalformedBody,
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let never = Sent::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let read = arrive(Request::new(never), &(), Duration::from_millis(1)).await;
        assert_eq!(
            read.err().map(|error| error.code()),
            Some(Code::RequestTimeout)
        );
    }
}
