//! Errors in the formats of this API.

use axum::{
    Json,
    body::Body,
    extract::{FromRequest, Request},
    http::{Response, StatusCode},
    response::IntoResponse,
};
use serde_json::{Value, json};

/// Code for an invalid field.
const INVALID: u32 = 3_500_034;
/// Code for an object that does not exist.
const ABSENT: u32 = 3_500_010;
/// Code for an operation that the charge's state forbids.
const STATE: u32 = 3_500_043;
/// Codes for limits of the account and of one charge.
pub(super) const DAILY_LIMIT: u32 = 4_600_209;
pub(super) const IDENTICAL: u32 = 4_600_210;
pub(super) const PAYER_IS_RECEIVER: u32 = 4_600_222;
pub(super) const TOO_LATE: u32 = 4_600_414;
pub(super) const TOO_SMALL: u32 = 4_600_036;

#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: Value,
}

impl ApiError {
    /// Creates the error for an invalid field. `property` is its path with slashes.
    pub(super) fn property(property: &str, message: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            body: json!({
                "code": INVALID, "error": "validation_error",
                "error_description": { "property": property, "message": message },
            }),
        }
    }

    /// Creates the error for an object that does not exist.
    pub(super) fn absent(status: StatusCode, error: &str, text: &str) -> Self {
        Self::coded(status, (ABSENT, error), text)
    }

    pub(super) fn state(text: &str) -> Self {
        Self::coded(StatusCode::BAD_REQUEST, (STATE, "invalid_operation"), text)
    }

    /// Creates the error for a limit of the account or for a rule about the charge.
    pub(super) fn limit(code: u32, text: &str) -> Self {
        Self::coded(StatusCode::BAD_REQUEST, (code, "validation_error"), text)
    }

    fn coded(status: StatusCode, (code, error): (u32, &str), text: &str) -> Self {
        Self {
            status,
            body: json!({ "code": code, "error": error, "error_description": text }),
        }
    }

    pub(super) fn unauthorized(text: &str) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            body: json!({ "code": 401, "error": "unauthorized", "error_description": text }),
        }
    }

    /// Creates the error for a value of the wrong JSON type.
    pub(super) fn kind(path: &[Value], expected: &str, received: &Value) -> Self {
        let received = match received {
            Value::Null => "undefined",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let message = format!("Expected {expected}, received {received}");
        let extra = json!({
            "path": path, "message": message, "code": "invalid_type", "expected": expected, "received": received,
        });
        Self {
            status: StatusCode::BAD_REQUEST,
            body: json!({
                "status": 400, "title": "Requisição inválida", "detail": "Há campos de tipo inválido", "extras": [extra],
            }),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        (self.status, Json(self.body)).into_response()
    }
}

/// JSON of a request body. An empty body counts as an empty object.
pub(super) struct Sent(pub Value);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let wrong = || ApiError::property("/", "O corpo não é um objeto JSON");
        let bytes = axum::body::Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|_| wrong())?;
        if bytes.is_empty() {
            return Ok(Self(json!({})));
        }
        let body: Value = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
        if body.is_object() {
            Ok(Self(body))
        } else {
            Err(wrong())
        }
    }
}
