//! Parameters of paths.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, path::ErrorKind, rejection::PathRejection},
    http::request::Parts,
};
use schemas::{
    id::{ChargeId, ConnectionId, DisputeId, EndpointId, EventId, RefundId},
    problem::FieldError,
    text,
};
use serde::de::DeserializeOwned;

use crate::{Code, Error};

/// Id whose object an error names.
pub(crate) trait Named: FromStr {
    /// Name of the object, for people.
    const NAME: &'static str;
}

impl Named for ChargeId {
    const NAME: &'static str = "charge";
}
impl Named for RefundId {
    const NAME: &'static str = "refund";
}
impl Named for DisputeId {
    const NAME: &'static str = "dispute";
}
impl Named for EventId {
    const NAME: &'static str = "event";
}
impl Named for EndpointId {
    const NAME: &'static str = "webhook endpoint";
}
impl Named for ConnectionId {
    const NAME: &'static str = "notification address";
}

/// Id in the path, which is its only parameter. A text that is not an id of this kind is reported as not found.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: Named, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await?;
        parse(&text).map(Self)
    }
}

/// Parses an id in the path.
pub(crate) fn parse<T: Named>(id: &str) -> Result<T, Error> {
    if text::normal(id).is_err() {
        return Err(not_text("id"));
    }
    id.parse().map_err(|_| Error::not_found(T::NAME))
}

/// Parameters of the path. A path that is not UTF-8 is reported as a problem.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        match read {
            Ok(axum::extract::Path(parameters)) => Ok(Self(parameters)),
            Err(PathRejection::FailedToDeserializePathParams(why)) => match why.into_kind() {
                ErrorKind::InvalidUtf8InPathParam { key } => Err(not_text(&key)),
                _ => Err(Error::no_such_route()),
            },
            Err(_) => Err(Error::no_such_route()),
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
