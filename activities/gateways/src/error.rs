//! Why a gateway did not do what was asked, named by what the caller may do next.

use std::time::Duration;

use schemas::{
    attempt::{AttemptError, ErrorClass},
    document::{Document, DocumentKind},
};

/// A failed call. Its text never holds personal data or credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {code}: {message}")]
pub struct GatewayError {
    /// What the caller may do next.
    pub class: ErrorClass,
    /// The gateway's own code, or ours for what happened on the wire:
    /// `connect`, `tls`, `timeout`, `reset`, `unreadable`, `http_503`.
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

    /// A refusal of the payer's document. CNPJs given out since July 2026 hold letters, and gateways learn to take them at their own
    /// pace: for these another gateway may be tried. (`GATEWAYS.md`, trap 22)
    #[must_use]
    pub(crate) fn about_document(mut self, document: &Document) -> Self {
        let has_letters = document.as_str().chars().any(|c| c.is_ascii_alphabetic());
        if self.class == ErrorClass::Refused && document.kind() == DocumentKind::Cnpj && has_letters
        {
            self.class = ErrorClass::NotCreated;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cnpj_with_letters_may_be_refused_by_one_gateway_alone() {
        for (document, class) in [
            ("12ABC34501DE35", ErrorClass::NotCreated),
            ("11222333000181", ErrorClass::Refused),
            ("52998224725", ErrorClass::Refused),
        ] {
            let document = document.parse().expect("a document");
            let refused = GatewayError::new(ErrorClass::Refused, "invalid_object", "no");
            assert_eq!(refused.about_document(&document).class, class);
            let denied = GatewayError::new(ErrorClass::Denied, "x", "no");
            assert_eq!(denied.about_document(&document).class, ErrorClass::Denied);
        }
    }
}
