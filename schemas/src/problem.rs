//! Errors of the API: RFC 9457 `application/problem+json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{charge::GatewayFailure, id::ChargeId};

/// An error, described for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Stable URL of this kind of problem; the same as `doc_url`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable, machine-readable code.
    pub code: String,
    /// Short name of the kind of problem.
    pub title: String,
    /// Explanation of this occurrence and the remedy.
    pub detail: String,
    /// Id of the request, to be quoted to support. Also in the `Request-Id` header.
    pub request_id: String,
    /// True if the same request may succeed later. Repeat it with the same `Idempotency-Key`.
    pub retryable: bool,
    /// URL of the explanation of `code`.
    pub doc_url: String,
    /// The first invalid field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
    /// Every invalid field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The charge concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<ChargeId>,
    /// Error that the gateway returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayFailure>,
}

/// One invalid field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// Path of the field: `payer.document`, `metadata.color`.
    pub param: String,
    /// Stable, machine-readable code: `required`, `unknown`, `type`, `minimum`, `format`…
    pub code: String,
    /// Expected value. Never repeats the value that was sent.
    pub message: String,
}

impl FieldError {
    /// Creates a field error. `message` must not repeat the value.
    pub fn new(
        param: impl Into<String>,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            param: param.into(),
            code: code.into(),
            message: message.into(),
        }
    }
}
