//! Why a gateway did not do what was asked, named by what the caller may do next.

use std::time::Duration;

use schemas::attempt::{AttemptError, ErrorClass};

/// A failed call. Its text never holds personal data or credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {code}: {message}")]
pub struct GatewayError {
    /// What the caller may do next.
    pub class: ErrorClass,
    /// The gateway's own code, or ours for what happened on the wire:
    /// `connect`, `tls`, `timeout`, `reset`, `unreadable`, `http_503`, `not_from_gateway`.
    pub code: String,
    /// For people.
    pub message: String,
    /// How long the gateway asked us to wait.
    pub retry_after: Option<Duration>,
}

impl GatewayError {
    /// An error of `class` with the gateway's code and words.
    pub fn new(class: ErrorClass, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            class,
            code: code.into(),
            message: message.into(),
            retry_after: None,
        }
    }

    /// The same, after a request of the same charge may already have taken effect: never better than unknown.
    #[must_use]
    pub fn after_an_effect(mut self) -> Self {
        self.class = ErrorClass::Unknown;
        self
    }

    /// As it is stored with its attempt.
    pub fn to_attempt_error(&self) -> AttemptError {
        AttemptError {
            class: self.class,
            code: self.code.clone(),
            message: self.message.clone(),
        }
    }
}
