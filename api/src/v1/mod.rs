//! The REST API's resources: a folder per resource, a file per endpoint.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) mod charges;
pub(crate) mod disputes;
pub(crate) mod events;
pub(crate) mod refunds;
pub(crate) mod webhook_endpoints;

/// Header that marks the response of an earlier request with the same `Idempotency-Key`.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// Returns the headers of a response: marked if an earlier request with the same `Idempotency-Key` is answered.
fn replayed(is_replayed: bool) -> HeaderMap {
    let marks = is_replayed.then_some((REPLAYED, TRUE));
    HeaderMap::from_iter(marks)
}
