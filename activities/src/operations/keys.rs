//! API keys: revoke and roll.

use chrono::TimeDelta;
use schemas::id::ApiKeyId;
use secrecy::SecretString;
use serde_json::json;
use store::{
    Store, StoreError,
    api_keys::{self, KeyRow},
    audit::AuditAction,
};

use super::{OperationError, Operator, OperatorAction};
use crate::retry::operations::MAX_OVERLAP;

/// Key that replaces another.
#[derive(Debug)]
pub struct Rolled {
    pub id: ApiKeyId,
    /// Shown once.
    pub secret: SecretString,
    /// Time at which the former key stops being valid.
    pub former_ends_at: schemas::Instant,
}

/// Revokes a key at once.
pub async fn revoke(store: &Store, id: ApiKeyId, by: &Operator) -> Result<(), OperationError> {
    let mut tx = store.begin().await.map_err(StoreError::from)?;
    let key = api_keys::lock(&mut tx, id).await?;
    let key = key.ok_or_else(|| OperationError::not_found("API key", id))?;
    if !api_keys::revoke(&mut tx, key.merchant, id).await? {
        return Err(OperationError::Refused(format!("{id} is revoked already")));
    }
    by.note(
        &mut tx,
        operator_action(&key, AuditAction::ApiKeyRevoked, json!({})),
    )
    .await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Creates a key with the same permission; the former one stays valid for `overlap`.
pub async fn roll(
    store: &Store,
    id: ApiKeyId,
    overlap: TimeDelta,
    by: &Operator,
) -> Result<Rolled, OperationError> {
    if overlap < TimeDelta::zero() || overlap > MAX_OVERLAP {
        let why = format!("the overlap is 0 to {} hours", MAX_OVERLAP.num_hours());
        return Err(OperationError::Refused(why));
    }
    let mut tx = store.begin().await.map_err(StoreError::from)?;
    let key = api_keys::lock(&mut tx, id).await?;
    let key = key.ok_or_else(|| OperationError::not_found("API key", id))?;
    if key.revoked_at.is_some() || key.expires_at.is_some() {
        return Err(OperationError::Refused(format!(
            "{id} was revoked or rolled before: create a new key with `orchestrator key create`"
        )));
    }
    let (new, secret) =
        api_keys::insert(&mut tx, key.merchant, key.mode, key.permission, &key.label).await?;
    let former_ends_at = api_keys::expire(&mut tx, id, new, overlap).await?;
    let details = json!({ "replaced_by": new, "expires_at": former_ends_at });
    by.note(
        &mut tx,
        operator_action(&key, AuditAction::ApiKeyRolled, details),
    )
    .await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Rolled {
        id: new,
        secret,
        former_ends_at,
    })
}

fn operator_action(
    key: &KeyRow,
    action: AuditAction,
    details: serde_json::Value,
) -> OperatorAction {
    OperatorAction {
        merchant: key.merchant,
        mode: Some(key.mode),
        action,
        subject: key.id.to_string(),
        details,
    }
}
