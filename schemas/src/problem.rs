//! Errors as the API answers them: RFC 9457 `application/problem+json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{charge::GatewayFailure, id::ChargeId};

/// What went wrong, for a program and for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Stable address of this kind of problem; the same as `doc_url`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable and machine-readable.
    pub code: String,
    /// The kind of problem in a few words.
    pub title: String,
    /// What happened this time and what to do.
    pub detail: String,
    /// Quote it when asking for help; also in the `Request-Id` header.
    pub request_id: String,
    /// Whether the same request may succeed later. Repeat it with the same `Idempotency-Key`.
    pub retryable: bool,
    /// Where this code is explained.
    pub doc_url: String,
    /// The first wrong field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
    /// Every wrong field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The charge concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<ChargeId>,
    /// What the gateway said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayFailure>,
}

/// One wrong field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// Where it is: `payer.document`, `metadata.color`.
    pub param: String,
    /// Stable and machine-readable: `required`, `unknown`, `type`, `minimum`, `format`…
    pub code: String,
    /// What is expected. Never repeats the value that was sent.
    pub message: String,
}

impl FieldError {
    /// A field error; `message` must not repeat the value.
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
