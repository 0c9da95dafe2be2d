//! Input of requests, as extractors. All invalid fields are reported at once.

mod body;
mod id;
mod idempotency;
mod query;

pub(crate) use body::{Body, OptionalBody, whole};
pub(crate) use id::{Id, Path, parse};
pub(crate) use idempotency::{IdempotencyKey, OptionalIdempotencyKey};
pub(crate) use query::{Parameters, Query, parameters, range};
