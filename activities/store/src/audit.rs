//! Audit log of manual actions: actor, time, action and reason. It is append-only.

use chrono::{DateTime, Utc};
use schemas::{gateway::Mode, id::MerchantId};
use serde_json::Value;
use sqlx::PgConnection;
use strum::{AsRefStr, Display, EnumIter, EnumString};
use uuid::Uuid;

use crate::{StoreError, error::parse};

/// Kind of manual action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, AsRefStr, Display, EnumIter, EnumString)]
pub enum AuditAction {
    #[strum(serialize = "api_key.revoked")]
    ApiKeyRevoked,
    #[strum(serialize = "api_key.rolled")]
    ApiKeyRolled,
    #[strum(serialize = "breaker.held")]
    BreakerHeld,
    #[strum(serialize = "breaker.released")]
    BreakerReleased,
    #[strum(serialize = "charge.resolved")]
    ChargeResolved,
    #[strum(serialize = "delivery.retried")]
    DeliveryRetried,
    #[strum(serialize = "event.resent")]
    EventResent,
    #[strum(serialize = "gateway_connection.address_rotated")]
    AddressRotated,
    #[strum(serialize = "gateway_connection.credentials_replaced")]
    CredentialsReplaced,
    #[strum(serialize = "merchant.closed")]
    MerchantClosed,
    #[strum(serialize = "merchant.reactivated")]
    MerchantReactivated,
    #[strum(serialize = "merchant.suspended")]
    MerchantSuspended,
    #[strum(serialize = "payer.erased")]
    PayerErased,
}

/// Entry to append in the transaction of the action that it records. Contains no personal data and no secrets.
#[derive(Debug)]
pub struct NewAuditEntry<'a> {
    pub merchant: MerchantId,
    pub mode: Option<Mode>,
    pub action: AuditAction,
    /// Prefixed id of the object of the action.
    pub subject: String,
    pub author: &'a str,
    pub reason: &'a str,
    pub details: Value,
}

/// Entry of the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    pub id: Uuid,
    pub merchant: MerchantId,
    pub mode: Option<Mode>,
    pub action: AuditAction,
    pub subject: String,
    pub author: String,
    pub reason: String,
    pub details: Value,
    pub created_at: DateTime<Utc>,
}

pub async fn append(db: &mut PgConnection, new: &NewAuditEntry<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into audit_log (id, merchant_id, mode, action, subject, author, reason, details)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        crate::new_id(),
        new.merchant.uuid(),
        new.mode.as_ref().map(AsRef::as_ref),
        new.action.as_ref(),
        new.subject,
        new.author,
        new.reason,
        new.details,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Returns a merchant's entries, or only those about `subject`, newest first.
pub async fn list(
    db: &mut PgConnection,
    merchant: MerchantId,
    subject: Option<&str>,
    limit: i64,
) -> Result<Vec<AuditEntry>, StoreError> {
    let rows = sqlx::query!(
        "select id, merchant_id, mode, action, subject, author, reason, details, created_at
           from audit_log where merchant_id = $1 and ($2::text is null or subject = $2) order by id desc limit $3",
        merchant.uuid(),
        subject,
        limit,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let mode = row.mode.map(|mode| parse("audit_log.mode", &mode));
            Ok(AuditEntry {
                id: row.id,
                merchant: row.merchant_id.into(),
                mode: mode.transpose()?,
                action: parse("audit_log.action", &row.action)?,
                subject: row.subject,
                author: row.author,
                reason: row.reason,
                details: row.details,
                created_at: row.created_at,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
