//! Errors in Stripe's format. `docs/gateways/stripe.md#errors`.

use axum::{
    Json,
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde_json::{Value, json};

const INVALID: &str = "invalid_request_error";

#[derive(Clone, Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
    /// True if the call had begun, so that its idempotency key stores the error.
    pub executed: bool,
    intent: Option<Box<Value>>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            code: None,
            param: None,
            message: message.into(),
            executed: false,
            intent: None,
        }
    }

    /// Creates the error for a request that is refused before it has any effect.
    pub(super) fn invalid(
        code: Option<&'static str>,
        param: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            param: Some(param.to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, INVALID, message)
        }
    }

    pub(super) fn missing(param: &str) -> Self {
        let message = format!("Missing required param: {param}.");
        Self::invalid(Some("parameter_missing"), param, message)
    }

    pub(super) fn unknown(param: &str) -> Self {
        let message = format!("Received unknown parameter: {param}");
        Self::invalid(Some("parameter_unknown"), param, message)
    }

    /// Creates the error for an operation that the object's state forbids.
    pub(super) fn state(code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self {
            code,
            executed: true,
            ..Self::new(StatusCode::BAD_REQUEST, INVALID, message)
        }
    }

    /// Creates the error for an object that does not exist. `seen_from` is set if it exists in the other mode: true if the key is of live
    /// mode.
    pub(super) fn absent(name: &str, param: &str, id: &str, seen_from: Option<bool>) -> Self {
        let hint = match seen_from {
            None => "",
            Some(true) => {
                "; a similar object exists in test mode, but a live mode key was used to make this request."
            }
            Some(false) => {
                "; a similar object exists in live mode, but a test mode key was used to make this request."
            }
        };
        Self {
            status: StatusCode::NOT_FOUND,
            ..Self::invalid(
                Some("resource_missing"),
                param,
                format!("No such {name}: '{id}'{hint}"),
            )
        }
    }

    /// Creates the error for a parameter whose id does not exist.
    pub(super) fn no_such(name: &str, param: &str, id: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            ..Self::absent(name, param, id, None)
        }
    }

    pub(super) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(super) fn param(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    /// Adds the intent whose state forbids the operation.
    pub(super) fn intent(mut self, intent: Value) -> Self {
        self.intent = Some(Box::new(intent));
        self
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Creates the response. `request` is the request's id and mode, if the request reached the API.
    pub(super) fn answer(&self, request: Option<(&str, bool)>) -> Response<Body> {
        let mut error = json!({ "type": self.kind, "message": self.message });
        if let Some(code) = self.code {
            error["code"] = code.into();
            let page = code.replace('_', "-");
            error["doc_url"] = format!("https://stripe.com/docs/error-codes/{page}").into();
        }
        if let Some(param) = &self.param {
            error["param"] = param.clone().into();
        }
        if let Some((id, live)) = request {
            let mode = if live { "" } else { "test/" };
            error["request_log_url"] =
                format!("https://dashboard.stripe.com/{mode}logs/{id}").into();
        }
        if let Some(intent) = &self.intent {
            error["payment_intent"] = (**intent).clone();
        }
        let mut response = (self.status, Json(json!({ "error": error }))).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let realm = HeaderValue::from_static("Basic realm=\"Stripe\"");
                headers.insert(header::WWW_AUTHENTICATE, realm);
            }
            StatusCode::CONFLICT => {
                headers.insert("stripe-should-retry", HeaderValue::from_static("true"));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let reason = HeaderValue::from_static("endpoint-rate");
                headers.insert("stripe-rate-limited-reason", reason);
            }
            status if status.is_client_error() => {
                headers.insert("stripe-should-retry", HeaderValue::from_static("false"));
            }
            _ => {}
        }
        response
    }
}

/// Stores the error in the response's extensions; an outer layer that knows the request's id formats it.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
