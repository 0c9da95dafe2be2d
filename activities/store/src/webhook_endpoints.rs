//! Webhook endpoints of merchants.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use rand::Rng;
use schemas::{
    event,
    gateway::Mode,
    id::{EndpointId, MerchantId},
    webhook_endpoint::{CreateWebhookEndpoint, WebhookEndpoint},
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Store, StoreError, deliveries::DeliveryJob, error::parse, page::Range, vault::EncryptionContext,
};

mod locked;

pub use locked::{LockedEndpoint, lock, save};

/// Maximum number of endpoints per merchant and mode.
pub const MAX_ENDPOINTS: i64 = 20;
const SECRET_BYTES: usize = 32;

fn secret_place(merchant: Uuid, endpoint: Uuid) -> EncryptionContext {
    EncryptionContext::new(merchant, "webhook_endpoints", "secret_sealed", endpoint)
}

/// Creates an endpoint with a new secret. Returns the secret, or `None` if [`MAX_ENDPOINTS`] exist already.
pub async fn insert(
    db: &mut PgConnection,
    store: &Store,
    (merchant, mode): (MerchantId, Mode),
    id: EndpointId,
    request: &CreateWebhookEndpoint,
) -> Result<Option<WebhookEndpoint>, StoreError> {
    let key = store.merchant_key(db, merchant.uuid()).await?;
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let secret = format!("whsec_{}", STANDARD.encode(bytes));
    let events: Vec<String> = request
        .events
        .iter()
        .map(|kind| kind.as_ref().to_owned())
        .collect();
    // Serializes the creations of a merchant: each must see the number of endpoints that the other leaves.
    sqlx::query!(
        "select id from merchants where id = $1 for no key update",
        merchant.uuid()
    )
    .fetch_one(&mut *db)
    .await?;
    let inserted = sqlx::query!(
        "insert into webhook_endpoints (id, merchant_id, mode, url, events, description, api_version, secret_sealed)
         select $1, $2, $3, $4, $5, $6, $7, $8
          where (select count(*) from webhook_endpoints where merchant_id = $2 and mode = $3 and status <> 'deleted') < $9",
        id.uuid(),
        merchant.uuid(),
        mode.as_ref(),
        request.url.as_str(),
        &events,
        request.description,
        event::API_VERSION,
        key.seal(&secret_place(merchant.uuid(), id.uuid()), secret.as_bytes()),
        MAX_ENDPOINTS,
    )
    .execute(&mut *db)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(None);
    }
    let endpoint = find(db, merchant, mode, id).await?;
    Ok(endpoint.map(|endpoint| WebhookEndpoint {
        secret: Some(secret),
        ..endpoint
    }))
}

struct EndpointRow {
    id: Uuid,
    mode: String,
    url: String,
    events: Vec<String>,
    description: Option<String>,
    status: String,
    api_version: String,
    created_at: DateTime<Utc>,
    paused_at: Option<DateTime<Utc>>,
    delivery_failed_at: Option<DateTime<Utc>>,
}

impl EndpointRow {
    fn read(self) -> Result<WebhookEndpoint, StoreError> {
        Ok(WebhookEndpoint {
            id: self.id.into(),
            mode: parse("webhook_endpoints.mode", &self.mode)?,
            url: parse("webhook_endpoints.url", &self.url)?,
            events: self
                .events
                .iter()
                .map(|kind| parse("webhook_endpoints.events", kind))
                .collect::<Result<_, _>>()?,
            description: self.description,
            status: parse("webhook_endpoints.status", &self.status)?,
            api_version: self.api_version,
            secret: None,
            created_at: self.created_at,
            paused_at: self.paused_at,
            delivery_failed_at: self.delivery_failed_at,
        })
    }
}

/// Returns the endpoint, unless it was deleted.
pub async fn find(
    db: &mut PgConnection,
    merchant: MerchantId,
    mode: Mode,
    id: EndpointId,
) -> Result<Option<WebhookEndpoint>, StoreError> {
    let row = sqlx::query_as!(
        EndpointRow,
        "select id, mode, url, events, description, status, api_version, created_at, paused_at,
                delivery_failed_at
           from webhook_endpoints where id = $1 and merchant_id = $2 and mode = $3 and status <> 'deleted'",
        id.uuid(),
        merchant.uuid(),
        mode.as_ref(),
    )
    .fetch_optional(db)
    .await?;
    row.map(EndpointRow::read).transpose()
}

/// Returns the endpoint with its secret, for a repetition of the request that created it.
pub async fn with_secret(
    db: &mut PgConnection,
    store: &Store,
    (merchant, mode): (MerchantId, Mode),
    id: EndpointId,
) -> Result<Option<WebhookEndpoint>, StoreError> {
    let Some(endpoint) = find(db, merchant, mode, id).await? else {
        return Ok(None);
    };
    let sealed = sqlx::query_scalar!(
        "select secret_sealed from webhook_endpoints where id = $1",
        id.uuid()
    )
    .fetch_one(&mut *db)
    .await?;
    let secret = open(db, store, merchant.uuid(), (id.uuid(), &sealed)).await?;
    Ok(Some(WebhookEndpoint {
        secret: Some(secret),
        ..endpoint
    }))
}

/// Returns a page of a merchant's endpoints, newest first, and true if more follow.
pub async fn list(
    db: &mut PgConnection,
    merchant: MerchantId,
    mode: Mode,
    range: Range,
) -> Result<(Vec<WebhookEndpoint>, bool), StoreError> {
    let rows = sqlx::query_as!(
        EndpointRow,
        "select id, mode, url, events, description, status, api_version, created_at, paused_at,
                delivery_failed_at
           from webhook_endpoints
          where merchant_id = $1 and mode = $2 and status <> 'deleted'
            and ($3::uuid is null or id < $3) and ($4::uuid is null or id > $4)
          order by case when $4::uuid is null then id end desc, case when $4::uuid is not null then id end
          limit $5",
        merchant.uuid(),
        mode.as_ref(),
        range.after,
        range.before,
        range.fetch(),
    )
    .fetch_all(db)
    .await?;
    let rows: Vec<_> = rows
        .into_iter()
        .map(EndpointRow::read)
        .collect::<Result<_, _>>()?;
    Ok(range.cut(rows))
}

/// Deletes an endpoint; its next check discards its waiting deliveries. Returns false if this merchant has no such endpoint.
pub async fn delete(
    db: &mut PgConnection,
    merchant: MerchantId,
    mode: Mode,
    id: EndpointId,
) -> Result<bool, StoreError> {
    let deleted = sqlx::query!(
        "update webhook_endpoints
            set status = 'deleted', deleted_at = app_now(), draining = true, next_check_at = app_now()
          where id = $1 and merchant_id = $2 and mode = $3 and status <> 'deleted'",
        id.uuid(),
        merchant.uuid(),
        mode.as_ref(),
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Returns the key of an endpoint's signatures.
pub async fn secret(
    db: &mut PgConnection,
    store: &Store,
    work: &DeliveryJob,
) -> Result<String, StoreError> {
    open(
        db,
        store,
        work.merchant.uuid(),
        (work.endpoint.uuid(), &work.secret_sealed),
    )
    .await
}

async fn open(
    db: &mut PgConnection,
    store: &Store,
    merchant: Uuid,
    (endpoint, sealed): (Uuid, &[u8]),
) -> Result<String, StoreError> {
    let key = store.merchant_key(db, merchant).await?;
    let plain = key.open(&secret_place(merchant, endpoint), sealed)?;
    String::from_utf8(plain.to_vec())
        .map_err(|why| StoreError::corrupt("webhook_endpoints.secret_sealed", why))
}

#[cfg(test)]
mod tests;
