//! Refusals, in the shapes that this API has.

use axum::{
    Json,
    body::Body,
    extract::{FromRequest, Request},
    http::{Response, StatusCode},
    response::IntoResponse,
};
use serde_json::{Value, json};

/// A field breaks a rule.
const INVALID: u32 = 3_500_034;
/// What is named is absent.
const ABSENT: u32 = 3_500_010;
/// The charge's state forbids it.
const STATE: u32 = 3_500_043;
/// Limits of the account and of one order.
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
    /// A field breaks a rule: `property` is its path with slashes.
    pub(super) fn property(property: &str, message: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            body: json!({
                "code": INVALID, "error": "validation_error",
                "error_description": { "property": property, "message": message },
            }),
        }
    }

    /// What is asked for is not there.
    pub(super) fn absent(status: StatusCode, error: &str, text: &str) -> Self {
        Self::coded(status, (ABSENT, error), text)
    }

    pub(super) fn state(text: &str) -> Self {
        Self::coded(StatusCode::BAD_REQUEST, (STATE, "invalid_operation"), text)
    }

    /// A limit of the account, or a rule about what is charged.
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

    /// A value has not the JSON type that it must have.
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

/// A body of JSON; nothing counts as an empty object.
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
