//! Error codes: their status, and their explanation for developers.

use axum::http::StatusCode;
use strum::{AsRefStr, EnumIter, EnumString, IntoStaticStr};

/// Stable error codes. Each is explained at its `doc_url`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    AsRefStr,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
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

/// Explanation of a code.
pub(crate) struct Explanation {
    /// Short name of the kind of problem.
    pub(crate) title: &'static str,
    /// Remedy.
    pub(crate) remedy: &'static str,
}

impl Code {
    /// Returns the HTTP status of the code.
    pub(crate) fn status(self) -> StatusCode {
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

    /// Returns true if the same request may succeed later.
    pub(crate) fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RequestTimeout | Self::Overloaded | Self::Unavailable
        )
    }

    /// Returns the code's title and the remedy.
    pub(crate) fn explanation(self) -> Explanation {
        let title = self.title();
        let remedy = self.remedy();
        Explanation { title, remedy }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Unauthenticated => "The API key is missing or invalid",
            Self::PermissionDenied => "The API key lacks the required permission",
            Self::MerchantNotActive => "The merchant is suspended or closed",
            Self::NotFound => "The object does not exist",
            Self::MethodNotAllowed => "The address does not accept this method",
            Self::MalformedBody => "The body is not JSON",
            Self::BodyTooLarge => "The body is too large",
            Self::InvalidRequest => "Some fields are invalid",
            Self::IdempotencyKeyRequired => "The Idempotency-Key header is missing or invalid",
            Self::IdempotencyKeyReused => "The Idempotency-Key was used for another request",
            Self::ReferenceInUse => "A charge with this reference is open",
            Self::ChargeNotCancelable => "The charge can no longer be canceled",
            Self::ChargeNotRefundable => "The charge cannot be refunded",
            Self::RefundTooLarge => "The refund exceeds the refundable amount",
            Self::RefundNotSupported => "The gateway cannot refund this payment",
            Self::NoGatewayConnection => "No gateway connection is routed for this payment method",
            Self::NoEligibleGateway => "No connected gateway can accept this charge",
            Self::FallbackRequired => "Fewer than two connected gateways can accept this charge",
            Self::TooManyEndpoints => "The maximum number of webhook endpoints is reached",
            Self::InvalidNotification => "The notification could not be verified",
            Self::RequestTimeout => "The body did not arrive in time",
            Self::InternalError => "An internal error occurred",
            Self::Overloaded => "Too many requests are being processed",
            Self::Unavailable => "The service is temporarily unavailable",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Unauthenticated => {
                "Send `Authorization: Bearer sk_test_…` with a key that was not revoked. A key is shown once, when it is created."
            }
            Self::PermissionDenied => {
                "Use a key with the permission that `detail` names: `read`, `payments` or `configuration`."
            }
            Self::MerchantNotActive => {
                "A merchant creates nothing new until it is active again. Its existing charges are still received, refunded and delivered."
            }
            Self::NotFound => {
                "Check the id. An object of the other mode (test, live) or of another merchant is not found either."
            }
            Self::MethodNotAllowed => "The `Allow` header lists the accepted methods.",
            Self::MalformedBody => "Send one JSON object in UTF-8.",
            Self::BodyTooLarge => "Send at most 64 KiB.",
            Self::InvalidRequest => {
                "`errors` lists every invalid field with its expected value. Nothing was stored."
            }
            Self::IdempotencyKeyRequired => {
                "Send 1 to 255 printable ASCII characters: a UUID or the order's id. Use a new key for each order, and the same key to repeat \
                 a request."
            }
            Self::IdempotencyKeyReused => {
                "Repeat the first request without changes, or use a new key. Nothing was stored."
            }
            Self::ReferenceInUse => {
                "Use the charge that `charge` names, cancel it, or send another reference. The merchant setting `duplicate_reference` \
                 defines this behavior."
            }
            Self::ChargeNotCancelable => {
                "The charge is paid or has already ended; `detail` contains its status."
            }
            Self::ChargeNotRefundable => {
                "The charge is not paid, is already refunded, is disputed by the payer, or the period for refunds has ended; `detail` \
                 contains the reason."
            }
            Self::RefundTooLarge => {
                "Send at most `amount_refundable` of the charge. Nothing was stored."
            }
            Self::RefundNotSupported => {
                "Return the money outside the gateway, for example by a Pix to the payer. Nothing was stored."
            }
            Self::NoGatewayConnection => {
                "Add a connection in this mode: `orchestrator connection add`."
            }
            Self::NoEligibleGateway => {
                "`errors` lists the fields that the gateways require. Nothing was stored."
            }
            Self::FallbackRequired => {
                "The request has `require_fallback`. Send the fields that `errors` lists, or connect another gateway. Nothing was stored."
            }
            Self::TooManyEndpoints => "Delete an endpoint that is no longer used.",
            Self::InvalidNotification => {
                "The signature or the token is wrong. Check the notification address at the gateway."
            }
            Self::RequestTimeout => {
                "Nothing was stored. Repeat the request and send the whole body at once."
            }
            Self::InternalError => {
                "Quote `request_id` to support. Repeating the request with the same Idempotency-Key is safe, but may fail again."
            }
            Self::Overloaded => {
                "Nothing was stored. Repeat the request with the same Idempotency-Key after `Retry-After` seconds."
            }
            Self::Unavailable => {
                "Repeat the request with the same Idempotency-Key. This is safe even if the first request was stored."
            }
        }
    }
}
