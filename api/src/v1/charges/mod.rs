//! Charges: one file per endpoint.

use axum::http::{HeaderName, HeaderValue};

pub mod cancel;
pub mod create;
pub mod get;
pub mod list;
pub mod timeline;
mod wait;

/// Header that marks the response of an earlier request with the same `Idempotency-Key`.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const TRUE: HeaderValue = HeaderValue::from_static("true");
