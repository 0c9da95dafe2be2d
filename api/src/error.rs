//! Errors of requests, and their conversion to problem documents (RFC 9457).

use axum::{
    Json,
    extract::rejection::BytesRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemas::{
    id::ChargeId,
    problem::{FieldError, Problem},
};
use store::StoreError;
use strum::{AsRefStr, EnumString, IntoStaticStr};
use url::Url;

use crate::input::Path;

/// Stable error codes. Each is explained at its `doc_url`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, AsRefStr, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Code {
    Unauthenticated,
    PermissionDenied,
    MerchantNotActive,
    NotFound,
    MethodNotAllowed,
    MalformedBody,
    BodyTooLarge,
    InvalidRequest,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    ReferenceInUse,
    ChargeNotCancelable,
    ChargeNotRefundable,
    RefundTooLarge,
    RefundNotSupported,
    NoGatewayConnection,
    NoEligibleGateway,
    FallbackRequired,
    TooManyEndpoints,
    InvalidNotification,
    RequestTimeout,
    InternalError,
    Overloaded,
    Unavailable,
}

impl Code {
    fn status(self) -> StatusCode {
        match self {
            Self::Unauthenticated | Self::InvalidNotification => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied | Self::MerchantNotActive => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::MalformedBody | Self::IdempotencyKeyRequired => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InvalidRequest
            | Self::IdempotencyKeyReused
            | Self::NoGatewayConnection
            | Self::NoEligibleGateway
            | Self::FallbackRequired
            | Self::RefundTooLarge
            | Self::RefundNotSupported
            | Self::TooManyEndpoints => StatusCode::UNPROCESSABLE_ENTITY,
            Self::ReferenceInUse | Self::ChargeNotCancelable | Self::ChargeNotRefundable => {
                StatusCode::CONFLICT
            }
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the code's title and the instruction for the client.
    #[expect(clippy::too_many_lines, reason = "a table: one entry per code")]
    fn explanation(self) -> (&'static str, &'static str) {
        match self {
            Self::Unauthenticated => (
                "The API key is missing or not valid",
                "Send `Authorization: Bearer sk_test_…` with a key that was not revoked. Keys are shown once, when they are created.",
            ),
            Self::PermissionDenied => (
                "The API key may not do this",
                "Use a key with the permission that the detail names: `read`, `payments` or `configuration`.",
            ),
            Self::MerchantNotActive => (
                "The merchant is suspended or closed",
                "It creates nothing new until it is active again; what it has already is still received and delivered.",
            ),
            Self::NotFound => (
                "There is no such thing",
                "Check the id. What belongs to the other mode (test, live) or to another merchant is not found either.",
            ),
            Self::MethodNotAllowed => (
                "This address does not take this method",
                "The `Allow` header names those it takes.",
            ),
            Self::MalformedBody => ("The body is not JSON", "Send one JSON object, in UTF-8."),
            Self::BodyTooLarge => ("The body is too large", "A request has at most 64 KiB."),
            Self::InvalidRequest => (
                "Some fields are not valid",
                "`errors` names every wrong field, and what is expected of it. Nothing was stored.",
            ),
            Self::IdempotencyKeyRequired => (
                "The Idempotency-Key header is missing or not valid",
                "Send 1 to 255 printable ASCII characters, new for each order and the same for each repeat of it: a UUID, or the order's id.",
            ),
            Self::IdempotencyKeyReused => (
                "The Idempotency-Key was used for another request",
                "Repeat the first request exactly, or use a new key for a new one.",
            ),
            Self::ReferenceInUse => (
                "A charge with this reference is open",
                "`charge` names it: use it, cancel it, or send another reference. The merchant setting `duplicate_reference` decides.",
            ),
            Self::ChargeNotCancelable => (
                "The charge can no longer be canceled",
                "It is paid, or has ended already; `detail` has its status.",
            ),
            Self::ChargeNotRefundable => (
                "Nothing of the charge can be given back",
                "It is not paid, is refunded already, is disputed by the payer, or its time is over; `detail` has the reason.",
            ),
            Self::RefundTooLarge => (
                "The refund is more than can still be given back",
                "`amount_refundable` of the charge has the limit. Nothing was stored.",
            ),
            Self::RefundNotSupported => (
                "The gateway cannot refund this payment",
                "Give the money back by another way, a Pix to the payer for example. Nothing was stored.",
            ),
            Self::NoGatewayConnection => (
                "No gateway connection is routed for this payment method",
                "Add one in this mode: `orchestrator connection add`.",
            ),
            Self::NoEligibleGateway => (
                "No connected gateway can take this charge",
                "`errors` names the fields that the gateways want. Nothing was stored.",
            ),
            Self::FallbackRequired => (
                "Fewer than two connected gateways can take this charge",
                "`require_fallback` was asked for: send what `errors` names, or connect another gateway. Nothing was stored.",
            ),
            Self::TooManyEndpoints => (
                "There are too many webhook endpoints",
                "Delete one that is no longer needed.",
            ),
            Self::InvalidNotification => (
                "The notification could not be verified",
                "Its signature or token is wrong.",
            ),
            Self::RequestTimeout => (
                "The body did not arrive in time",
                "Nothing was stored. Send the whole body at once, and repeat the request.",
            ),
            Self::InternalError => (
                "Something of ours failed",
                "It is a fault of ours: quote `request_id`. A repeat with the same Idempotency-Key is safe, and may fail in the same way.",
            ),
            Self::Overloaded => (
                "Too many charges are being created at this moment",
                "Nothing was stored. Repeat the request with the same Idempotency-Key after `Retry-After` seconds.",
            ),
            Self::Unavailable => (
                "Something of ours is not available",
                "Repeat the request with the same Idempotency-Key: it is safe, whether or not the first one was stored.",
            ),
        }
    }

    fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RequestTimeout | Self::Overloaded | Self::Unavailable
        )
    }
}

/// Error of a request.
#[derive(Clone, Debug)]
pub struct Error {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    charge: Option<ChargeId>,
    retry_after_s: Option<u32>,
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
            format!("there is no such {what} in this mode"),
        )
    }

    #[cfg(test)]
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Creates the error for an idempotency key that was used for another request.
    pub(crate) fn key_reused() -> Self {
        Self::new(
            Code::IdempotencyKeyReused,
            "this Idempotency-Key came with another body before; nothing was stored",
        )
    }

    pub(crate) fn code(&self) -> Code {
        self.code
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
            title: self.code.explanation().0.to_owned(),
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

/// Failure of our own infrastructure. It is logged here once; the client may retry.
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(
            Code::Unavailable,
            "the database did not answer as it should",
        )
        .retry_after(1)
    }
}

impl From<BytesRejection> for Error {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(
                Code::BodyTooLarge,
                "the body has more bytes than are taken here",
            ),
            _ => Self::new(Code::MalformedBody, "the body did not arrive whole"),
        }
    }
}

/// The response has no body: `log` writes it, because it knows the request's id.
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
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    Response::from_parts(parts, Json(problem).into_response().into_body())
}

/// Returns the explanation of an error code, for developers who follow a `doc_url`.
pub async fn explain(Path(code): Path<String>) -> Result<String, Error> {
    let code: Code = code.parse().map_err(|_| Error::not_found("error code"))?;
    let (title, what_to_do) = code.explanation();
    Ok(format!(
        "{} {}\n\n{title}.\n\n{what_to_do}\n",
        code.status().as_u16(),
        code.as_ref()
    ))
}

pub(crate) async fn no_such_route() -> Error {
    Error::new(Code::NotFound, "this address does not exist")
}

pub(crate) async fn no_such_method() -> Error {
    Error::new(
        Code::MethodNotAllowed,
        "this address exists, and takes other methods",
    )
}
