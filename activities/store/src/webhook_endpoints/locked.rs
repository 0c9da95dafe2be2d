//! Endpoint that is probed, drained or emptied. It is loaded once under its lock and saved once.

use chrono::{DateTime, Utc};
use schemas::{
    id::{EndpointId, MerchantId},
    webhook_endpoint::WebhookEndpointStatus,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, deliveries::EndpointTerms, error::parse};

/// Endpoint under its lock.
#[derive(Debug)]
pub struct LockedEndpoint {
    pub id: EndpointId,
    pub merchant: MerchantId,
    pub status: WebhookEndpointStatus,
    pub terms: EndpointTerms,
    /// Time until which turns are assigned.
    pub next_turn_at: Option<DateTime<Utc>>,
    /// True if parked deliveries are being assigned their turns.
    pub draining: bool,
    /// Time when the last parked delivery was assigned a turn.
    pub drained_at: Option<DateTime<Utc>>,
    /// Delivery of the last probe.
    pub probed: Option<Uuid>,
    pub next_check_at: Option<DateTime<Utc>>,
    /// PostgreSQL's time, read after the lock is held.
    pub now: DateTime<Utc>,
}

/// Locks an endpoint without blocking transactions that write deliveries for it.
pub async fn lock(
    db: &mut PgConnection,
    id: EndpointId,
) -> Result<Option<LockedEndpoint>, StoreError> {
    let row = sqlx::query!(
        "select merchant_id, status, rate_per_s, slots, answer_ms, next_turn_at, draining, drained_at, probed, next_check_at
           from webhook_endpoints where id = $1 for no key update",
        id.uuid(),
    )
    .fetch_optional(&mut *db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(LockedEndpoint {
        id,
        merchant: row.merchant_id.into(),
        status: parse("webhook_endpoints.status", &row.status)?,
        terms: EndpointTerms::read(row.rate_per_s, row.slots, row.answer_ms),
        next_turn_at: row.next_turn_at,
        draining: row.draining,
        drained_at: row.drained_at,
        probed: row.probed,
        next_check_at: row.next_check_at,
        now: crate::now(db).await?,
    }))
}

/// Writes the changes of a check.
pub async fn save(db: &mut PgConnection, endpoint: &LockedEndpoint) -> Result<(), StoreError> {
    sqlx::query!(
        "update webhook_endpoints
            set next_turn_at = $2, draining = $3, drained_at = $4, probed = $5, next_check_at = $6
          where id = $1",
        endpoint.id.uuid(),
        endpoint.next_turn_at,
        endpoint.draining,
        endpoint.drained_at,
        endpoint.probed,
        endpoint.next_check_at,
    )
    .execute(db)
    .await?;
    Ok(())
}
