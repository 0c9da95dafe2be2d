//! Manual operations: one function per use case, called by the command line now and by the API later. Each one writes its author and reason
//! into the audit log, in its own transaction.

use gateways::GatewayError;
use schemas::{gateway::Mode, id::MerchantId, problem::FieldError};
use serde_json::Value;
use store::{
    PgConnection, StoreError,
    audit::{self, AuditAction},
};

pub mod address;
pub mod breakers;
pub mod credentials;
pub mod deliveries;
pub mod keys;
pub mod merchants;
pub mod payers;
pub mod retention;
pub mod review;

/// Maximum length of a reason, in characters.
const MAX_REASON: usize = 500;
/// Maximum length of an author's name, in characters.
const MAX_AUTHOR: usize = 100;

/// Author and reason of a manual operation.
#[derive(Clone, Debug)]
pub struct Operator {
    author: String,
    reason: String,
}

impl Operator {
    /// Creates an operator with a name and a reason. The audit log stores both permanently.
    pub fn new(author: &str, reason: &str) -> Result<Self, OperationError> {
        Ok(Self {
            author: text("author", author, MAX_AUTHOR)?,
            reason: text("reason", reason, MAX_REASON)?,
        })
    }

    /// Appends to the audit log, in the transaction of the operation.
    async fn note(
        &self,
        db: &mut PgConnection,
        operator_action: OperatorAction,
    ) -> Result<(), StoreError> {
        let new = audit::NewAuditEntry {
            merchant: operator_action.merchant,
            mode: operator_action.mode,
            action: operator_action.action,
            subject: operator_action.subject,
            author: &self.author,
            reason: &self.reason,
            details: operator_action.details,
        };
        audit::append(db, &new).await
    }
}

/// Audited action of an operator.
struct OperatorAction {
    merchant: MerchantId,
    mode: Option<Mode>,
    action: AuditAction,
    subject: String,
    details: Value,
}

/// Reason that a manual operation was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    #[error("there is no {0}")]
    NotFound(String),
    /// The current state does not allow it; the message names the remedy.
    #[error("{0}")]
    Refused(String),
    #[error("the credentials are not complete: {}", .0.iter().map(|e| format!("{} {}", e.param, e.message)).collect::<Vec<_>>().join("; "))]
    Credentials(Vec<FieldError>),
    #[error("the gateway did not accept the credentials: {0}")]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OperationError {
    fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("{what} {id}"))
    }
}

fn text(what: &str, given: &str, longest: usize) -> Result<String, OperationError> {
    let text = given.trim();
    let refused = |why: &str| Err(OperationError::Refused(format!("the {what} {why}")));
    if text.is_empty() {
        refused("must not be empty: the audit log keeps it")
    } else if text.chars().count() > longest {
        refused(&format!("has at most {longest} characters"))
    } else if text.chars().any(char::is_control) {
        refused("must be one line without control characters")
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_by_hand_without_a_name_and_a_reason() {
        assert!(Operator::new("ana", "the key leaked").is_ok());
        for (author, reason) in [("", "why"), ("ana", "  "), ("ana", "a\nb"), ("ana", "a\0b")] {
            assert!(
                Operator::new(author, reason).is_err(),
                "{author:?} {reason:?}"
            );
        }
        assert!(Operator::new("ana", &"x".repeat(501)).is_err());
    }
}
