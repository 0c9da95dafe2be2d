//! Erasure of payers on demand.

use schemas::id::PayerId;
use serde_json::json;
use store::{
    Store, StoreError,
    audit::AuditAction,
    payers::erase::{self, Erasure},
};

use super::{OperationError, Operator, OperatorAction};

/// Erases a payer: destroys the key of all its personal data. Refuses, naming the charges, while anything of the payer's is unresolved.
pub async fn erase(store: &Store, id: PayerId, by: &Operator) -> Result<(), OperationError> {
    let mut tx = store.begin().await.map_err(StoreError::from)?;
    match erase::erase(&mut tx, id).await? {
        Erasure::Erased { merchant, mode } => {
            let operator_action = OperatorAction {
                merchant,
                mode: Some(mode),
                action: AuditAction::PayerErased,
                subject: id.to_string(),
                details: json!({}),
            };
            by.note(&mut tx, operator_action).await?;
            tx.commit().await.map_err(StoreError::from)?;
            Ok(())
        }
        Erasure::NoPayer => Err(OperationError::not_found("payer", id)),
        Erasure::AlreadyErased => Err(OperationError::Refused(format!("{id} is erased already"))),
        Erasure::Unresolved(open) => {
            let named: Vec<String> = open
                .iter()
                .map(|it| format!("{} ({})", it.charge, it.why))
                .collect();
            Err(OperationError::Refused(format!(
                "{id} cannot be erased yet, since these charges are not resolved: {}. Wait for them, cancel them, or resolve them (`orchestrator charge resolve`)",
                named.join(", ")
            )))
        }
    }
}
