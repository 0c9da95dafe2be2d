//! The header `Idempotency-Key`.

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::request::Parts,
};
use utoipa::{
    IntoParams,
    openapi::{
        Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Type},
    },
};

use crate::{Code, Error};

const NAME: &str = "Idempotency-Key";
const MAX_LEN: usize = 255;

/// Key of a request: a repetition with the same key and body returns the same object. Required, unless the extractor is an `Option`.
pub(crate) struct IdempotencyKey(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        read(parts)?.ok_or_else(|| {
            wrong("this request requires a key, so that a repetition changes nothing")
        })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Error> {
        read(parts)
    }
}

fn read(parts: &Parts) -> Result<Option<IdempotencyKey>, Error> {
    let Some(value) = parts.headers.get(NAME) else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > MAX_LEN {
        return Err(wrong("it must have 1 to 255 printable ASCII characters"));
    }
    Ok(Some(IdempotencyKey(key.to_owned())))
}

fn wrong(why: &str) -> Error {
    Error::new(Code::IdempotencyKeyRequired, why)
}

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameter(Required::True)]
    }
}

/// Documentation of a key that is not required.
pub(crate) struct OptionalIdempotencyKey;

impl IntoParams for OptionalIdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameter(Required::False)]
    }
}

fn parameter(required: Required) -> Parameter {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(MAX_LEN));
    let about = "Key of the request, new for each order: from 1 to 255 printable ASCII characters. A repetition with the same key and body \
                 changes nothing and returns the same object in its current state, with `Idempotent-Replayed: true`. The same key with \
                 another body is refused.";
    ParameterBuilder::new()
        .name(NAME)
        .parameter_in(ParameterIn::Header)
        .required(required)
        .description(Some(about))
        .schema(Some(text))
        .example(Some("order-1042".into()))
        .build()
}
