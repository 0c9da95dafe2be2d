//! Errors of gateway calls, named by the caller's next action.

use std::time::Duration;

use schemas::attempt::{AttemptError, ErrorClass};

/// Failed call. Its text never contains personal data or credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {code}: {message}")]
pub struct GatewayError {
    /// Class, which determines the caller's next action.
    pub class: ErrorClass,
    /// Gateway's own code, or ours for a failure of the transport:
    /// `connect`, `tls`, `timeout`, `reset`, `unreadable`, `http_503`, `not_from_gateway`.
    pub code: String,
    /// Message for people.
    pub message: String,
    /// Wait that the gateway requested.
    pub retry_after: Option<Duration>,
}

impl GatewayError {
    /// Returns an error of `class` with the gateway's code and message.
    pub fn new(class: ErrorClass, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            class,
            code: code.into(),
            message: message.into(),
            retry_after: None,
        }
    }

    /// Returns the error for a charge of which an earlier request may have taken effect: its class is never better than unknown.
    #[must_use]
    pub fn after_an_effect(mut self) -> Self {
        self.class = ErrorClass::Unknown;
        self
    }

    /// Returns the form that is stored with its attempt.
    pub fn to_attempt_error(&self) -> AttemptError {
        AttemptError {
            class: self.class,
            code: self.code.clone(),
            message: self.message.clone(),
        }
    }
}
