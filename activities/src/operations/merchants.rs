//! Merchants: suspend, reactivate, close.

use schemas::{id::MerchantId, merchant::MerchantStatus};
use serde_json::json;
use store::{
    PgConnection, Store, StoreError, api_keys,
    audit::AuditAction,
    merchants::{self, LockedStatus, OpenBusiness},
};

use super::{OperationError, Operator, OperatorAction};
use crate::retry::operations::REQUESTS_END_WITHIN;

/// Suspends an active merchant: it can create nothing new. Existing payments, refunds and deliveries continue.
pub async fn suspend(
    store: &Store,
    merchant: MerchantId,
    by: &Operator,
) -> Result<(), OperationError> {
    let change = (
        MerchantStatus::Active,
        MerchantStatus::Suspended,
        AuditAction::MerchantSuspended,
    );
    change_status(store, merchant, change, by).await
}

/// Reactivates a suspended merchant: it can create again.
pub async fn reactivate(
    store: &Store,
    merchant: MerchantId,
    by: &Operator,
) -> Result<(), OperationError> {
    let change = (
        MerchantStatus::Suspended,
        MerchantStatus::Active,
        AuditAction::MerchantReactivated,
    );
    change_status(store, merchant, change, by).await
}

/// Closes a suspended merchant permanently if nothing of it is open, and revokes all its keys. Returns their number.
pub async fn close(
    store: &Store,
    merchant: MerchantId,
    by: &Operator,
) -> Result<u64, OperationError> {
    let mut tx = store.begin().await.map_err(StoreError::from)?;
    let now = locked(&mut tx, merchant).await?;
    let refused = |why: String| Err(OperationError::Refused(why));
    if now.status != MerchantStatus::Suspended {
        return refused(format!(
            "{merchant} is {}: only a suspended merchant can be closed (`orchestrator merchant suspend`)",
            now.status
        ));
    }
    if now.now - now.since < REQUESTS_END_WITHIN {
        return refused(format!(
            "{merchant} was suspended less than a minute ago, and requests may still be under way: close it in a minute"
        ));
    }
    let open = merchants::open_business(&mut tx, merchant).await?;
    if let Some(left) = described(open) {
        return refused(format!(
            "{merchant} still has {left}: wait for them, cancel them, or resolve them (`orchestrator charge resolve`)"
        ));
    }
    merchants::set_status(&mut tx, merchant, MerchantStatus::Closed).await?;
    let revoked = api_keys::revoke_all(&mut tx, merchant).await?;
    let details = json!({ "keys_revoked": revoked });
    by.note(
        &mut tx,
        operator_action(merchant, AuditAction::MerchantClosed, details),
    )
    .await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(revoked)
}

async fn change_status(
    store: &Store,
    merchant: MerchantId,
    (from, to, action): (MerchantStatus, MerchantStatus, AuditAction),
    by: &Operator,
) -> Result<(), OperationError> {
    let mut tx = store.begin().await.map_err(StoreError::from)?;
    let now = locked(&mut tx, merchant).await?;
    if now.status != from {
        return Err(OperationError::Refused(format!(
            "{merchant} is {}: only one that is {from} becomes {to}",
            now.status
        )));
    }
    merchants::set_status(&mut tx, merchant, to).await?;
    by.note(&mut tx, operator_action(merchant, action, json!({})))
        .await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

async fn locked(
    db: &mut PgConnection,
    merchant: MerchantId,
) -> Result<LockedStatus, OperationError> {
    let found = merchants::lock_status(db, merchant).await?;
    found.ok_or_else(|| OperationError::not_found("merchant", merchant))
}

fn operator_action(
    merchant: MerchantId,
    action: AuditAction,
    details: serde_json::Value,
) -> OperatorAction {
    OperatorAction {
        merchant,
        mode: None,
        action,
        subject: merchant.to_string(),
        details,
    }
}

/// Describes the open business; `None` if nothing is open.
fn described(open: OpenBusiness) -> Option<String> {
    let counts = [
        (open.charges, "open charges"),
        (open.attempts, "unresolved attempts"),
        (open.refunds, "unfinished refunds"),
        (open.disputes, "open disputes"),
    ];
    let left: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    (!left.is_empty()).then(|| left.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_named() {
        let nothing = OpenBusiness {
            charges: 0,
            attempts: 0,
            refunds: 0,
            disputes: 0,
        };
        assert_eq!(described(nothing), None);
        let some = OpenBusiness {
            charges: 2,
            disputes: 1,
            ..nothing
        };
        assert_eq!(
            described(some).as_deref(),
            Some("2 open charges, 1 open disputes")
        );
    }
}
