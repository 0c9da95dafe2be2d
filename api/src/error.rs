//! Errors of requests, and their conversion to problem documents (RFC 9457).

use std::sync::Arc;

use axum::{
    Json,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use schemas::{
    id::ChargeId,
    problem::{FieldError, Problem},
};
use store::{SqlError, StoreError};
use url::Url;

use crate::Code;

/// Media type of problems.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Error of a request.
#[derive(Clone, Debug)]
pub struct Error {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    charge: Option<ChargeId>,
    retry_after_s: Option<u32>,
    /// Failure of our own infrastructure, for the log only.
    cause: Option<Arc<StoreError>>,
}

impl Error {
    /// Creates an error. `detail` describes this occurrence without repeating the input.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            charge: None,
            retry_after_s: None,
            cause: None,
        }
    }

    /// Creates an error for all invalid fields.
    pub fn fields(code: Code, errors: Vec<FieldError>) -> Self {
        let names: Vec<_> = errors
            .iter()
            .map(|error| format!("`{}` {}", error.param, error.message))
            .collect();
        Self {
            errors,
            ..Self::new(code, names.join("; "))
        }
    }

    /// Adds the charge concerned.
    #[must_use]
    pub fn about(mut self, charge: ChargeId) -> Self {
        self.charge = Some(charge);
        self
    }

    /// Sets the number of seconds after which the client should retry.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Creates the error for an object that does not exist or belongs to another merchant or mode.
    pub fn not_found(what: &str) -> Self {
        Self::new(
            Code::NotFound,
            format!("this {what} does not exist in this mode"),
        )
    }

    /// Creates the error for an idempotency key that was used for another request.
    pub(crate) fn key_reused() -> Self {
        Self::new(
            Code::IdempotencyKeyReused,
            "an earlier request with this Idempotency-Key had another body; nothing was stored",
        )
    }

    /// Creates the error for an address that does not exist.
    pub(crate) fn no_such_route() -> Self {
        Self::new(Code::NotFound, "this address does not exist")
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Returns the failure of our own infrastructure that caused the error.
    pub(crate) fn cause(&self) -> Option<&StoreError> {
        self.cause.as_deref()
    }

    pub(crate) fn problem(self, docs: &Url, request_id: String) -> Problem {
        let doc_url = format!(
            "{}/errors/{}",
            docs.as_str().trim_end_matches('/'),
            self.code.as_ref()
        );
        Problem {
            kind: doc_url.clone(),
            status: self.code.status().as_u16(),
            code: self.code.as_ref().to_owned(),
            title: self.code.explanation().title.to_owned(),
            detail: self.detail,
            request_id,
            retryable: self.code.is_retryable(),
            doc_url,
            param: self.errors.first().map(|error| error.param.clone()),
            errors: self.errors,
            charge: self.charge,
            gateway: None,
        }
    }
}

/// Failure of our own infrastructure. The client may retry. `edge` logs the cause once.
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let mut this =
            Self::new(Code::Unavailable, "the database did not respond correctly").retry_after(1);
        this.cause = Some(Arc::new(error));
        this
    }
}

impl From<SqlError> for Error {
    fn from(error: SqlError) -> Self {
        StoreError::from(error).into()
    }
}

/// The response has no body: `edge` writes it, because it knows the request's id.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        if let Some(seconds) = self.retry_after_s {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        if self.code == Code::Unauthenticated {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the problem as the body of `answer`, and retains its status and other headers.
pub(crate) fn write(problem: Problem, answer: Response) -> Response {
    let (mut parts, _) = answer.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts
        .headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    Response::from_parts(parts, Json(problem).into_response().into_body())
}

pub(crate) async fn no_such_route() -> Error {
    Error::no_such_route()
}

pub(crate) async fn no_such_method() -> Error {
    Error::new(
        Code::MethodNotAllowed,
        "this address exists, but accepts other methods",
    )
}

/// Returns an example of the problem with a code, for the OpenAPI document.
pub(crate) fn example(code: Code) -> serde_json::Value {
    let docs = Url::parse("https://api.example.com/docs").expect("a literal URL");
    let error = match code {
        Code::InvalidRequest => {
            let wrong = FieldError::new("amount", "minimum", "must be at least 1");
            Error::fields(code, vec![wrong])
        }
        _ => Error::new(code, code.explanation().remedy),
    };
    let problem = error.problem(&docs, "req_0193e5f0c2a47d6b8f1e2a3b4c5d6e7f".to_owned());
    serde_json::to_value(problem).expect("a problem serializes")
}
