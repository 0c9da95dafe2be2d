//! What callers send, read so that every wrong field is named at once.

use std::{borrow::Cow, str::FromStr};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::HeaderMap,
};
use schemas::{
    page::{DEFAULT_LIMIT, MAX_LIMIT},
    problem::FieldError,
};
use serde_json::Value;
use store::page::Range;
use url::form_urlencoded;
use uuid::Uuid;

use crate::{Code, Error};

const MAX_IDEMPOTENCY_KEY: usize = 255;

/// A JSON body of any shape: the handler checks it after it knows who sends it.
pub struct Body(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        Ok(Self(Bytes::from_request(request, state).await?))
    }
}

impl Body {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value, Error> {
        serde_json::from_slice(&self.0).map_err(|error| {
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
    /// The body as JSON; none at all is an empty object.
    pub fn json_or_empty(&self) -> Result<Value, Error> {
        if self.0.is_empty() {
            Ok(Value::Object(serde_json::Map::new()))
        } else {
            self.json()
        }
    }
}

/// The `Idempotency-Key`, if one was sent.
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

/// The `Idempotency-Key` of a request that must have one.
pub fn needed_idempotency_key(headers: &HeaderMap) -> Result<&str, Error> {
    idempotency_key(headers)?.ok_or_else(|| {
        no_key("a charge is created only under a key, so that a repeat never charges twice")
    })
}

fn no_key(why: &str) -> Error {
    Error::new(Code::IdempotencyKeyRequired, why)
}

/// An id in the path; one that cannot be ours is not found.
pub fn path_id<T: FromStr>(text: &str, what: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::not_found(what))
}

/// A query string, read parameter by parameter.
pub struct Params<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    errors: Vec<FieldError>,
}

impl<'a> Params<'a> {
    /// Nothing is wrong yet.
    pub fn new(query: Option<&'a str>) -> Self {
        Self {
            pairs: form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect(),
            errors: Vec::new(),
        }
    }

    /// A parameter that may be left out; `expected` says what it must be.
    pub fn optional<T: FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        let at = self.pairs.iter().position(|(key, _)| key == name)?;
        let (_, value) = self.pairs.remove(at);
        let read = value.parse().ok();
        if read.is_none() {
            self.errors.push(FieldError::new(name, "invalid", expected));
        }
        read
    }

    /// `limit`, `starting_after` and `ending_before`; `Id` is the kind of the list's ids.
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

    /// Every parameter that was wrong, unknown, or given twice.
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
