//! Deliveries that were given up, and the alerts to their merchants.

use chrono::TimeDelta;
use schemas::{
    gateway::Mode,
    id::{EndpointId, MerchantId},
    webhook_endpoint::WebhookEndpointStatus,
};
use sqlx::PgConnection;

use crate::{StoreError, error::parse, sweep::interval};

/// Alert that is due.
#[derive(Debug)]
pub struct Alert {
    pub merchant: MerchantId,
    pub mode: Mode,
    pub url: String,
    pub status: WebhookEndpointStatus,
}

/// Returns true if the merchant is alerted when deliveries of this event type are given up. Events about webhook endpoints are excluded:
/// their alerts would cause each other.
pub fn is_alarming(event_type: &str) -> bool {
    !event_type.starts_with("webhook_endpoint.")
}

/// Records that deliveries to an endpoint were given up. Returns an alert if there was none within `every`.
pub async fn note(
    db: &mut PgConnection,
    endpoint: EndpointId,
    every: TimeDelta,
) -> Result<Option<Alert>, StoreError> {
    let row = sqlx::query!(
        r#"update webhook_endpoints
              set delivery_failed_at = app_now(),
                  failure_alerted_at = case when failure_alerted_at > app_now() - $2::interval then failure_alerted_at
                                            else app_now() end
            where id = $1 and status <> 'deleted'
           returning merchant_id, mode, url, status,
                     old.failure_alerted_at is distinct from new.failure_alerted_at as "is_due!""#,
        endpoint.uuid(),
        interval(every),
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row.filter(|row| row.is_due) else {
        return Ok(None);
    };
    Ok(Some(Alert {
        merchant: row.merchant_id.into(),
        mode: parse("webhook_endpoints.mode", &row.mode)?,
        url: row.url,
        status: parse("webhook_endpoints.status", &row.status)?,
    }))
}
