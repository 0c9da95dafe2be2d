//! `POST /v1/webhook_endpoints`.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemas::{
    id::EndpointId,
    problem::FieldError,
    validate::Checked,
    webhook_endpoint::{CreateWebhookEndpoint, WebhookEndpoint},
};
use store::{
    idempotency::{self, KeyClaim},
    webhook_endpoints,
};

use crate::{
    App, Code, Error,
    auth::{Caller, Configuration},
    document::problems,
    examples,
    input::{Body, IdempotencyKey, OptionalIdempotencyKey},
    shape,
    v1::replayed,
};

problems!(
    MerchantNotActive,
    MalformedBody,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    TooManyEndpoints
);

/// Create a webhook endpoint
///
/// Creates a webhook endpoint and returns it with its secret, the key of the signatures. Only a repetition with the same `Idempotency-Key`
/// returns the secret again.
#[utoipa::path(
    post,
    path = "/v1/webhook_endpoints",
    operation_id = "create_webhook_endpoint",
    tag = "webhook_endpoints",
    params(OptionalIdempotencyKey),
    request_body(content = shape::CreateWebhookEndpoint, example = json!(examples::create_webhook_endpoint())),
    responses(
        (
            status = 201, description = "The endpoint with its secret.", body = shape::WebhookEndpoint,
            headers(("Idempotent-Replayed" = bool, description = "`true` if an earlier request with this key was answered.")),
            example = json!(examples::new_webhook_endpoint()),
        ),
        Problems,
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<Configuration>,
    key: Option<IdempotencyKey>,
    Body(checked): Body<CreateWebhookEndpoint>,
) -> Result<Response, Error> {
    let allow_private = app.config.allow_private_webhooks;
    let address = gateways::http::check_webhook_url(&checked.request.url, allow_private);
    address.map_err(|why| {
        let wrong = FieldError::new("url", "address", why.to_string());
        Error::fields(Code::InvalidRequest, vec![wrong])
    })?;
    let Created {
        endpoint,
        is_replayed,
    } = insert(&app, &caller, key, &checked).await?;
    Ok((StatusCode::CREATED, replayed(is_replayed), Json(endpoint)).into_response())
}

/// Endpoint that was created.
struct Created {
    endpoint: WebhookEndpoint,
    /// True if an earlier request with the same key created it.
    is_replayed: bool,
}

async fn insert(
    app: &App,
    caller: &Caller<Configuration>,
    key: Option<IdempotencyKey>,
    Checked { request, canonical }: &Checked<CreateWebhookEndpoint>,
) -> Result<Created, Error> {
    let (owner, id) = (caller.owner(), EndpointId(store::new_id()));
    let mut tx = app.store.begin().await?;
    if let Some(IdempotencyKey(key)) = key {
        let merchant = caller.merchant.uuid();
        let merchant_key = app.store.merchant_key(&mut tx, merchant).await?;
        let operation = "webhook_endpoints.create";
        let claimed =
            idempotency::IdempotentRequest::new(&merchant_key, operation, &key, canonical);
        match idempotency::claim(&mut tx, owner, &claimed, id.uuid()).await? {
            KeyClaim::New => {}
            KeyClaim::Other => return Err(Error::key_reused()),
            KeyClaim::Same(first) => {
                let first = first.into();
                let found =
                    webhook_endpoints::with_secret(&mut tx, &app.store, owner, first).await?;
                return Ok(Created {
                    endpoint: found.ok_or_else(|| Error::not_found("webhook endpoint"))?,
                    is_replayed: true,
                });
            }
        }
    }
    caller.may_create()?;
    let inserted = webhook_endpoints::insert(&mut tx, &app.store, owner, id, request).await?;
    let endpoint = inserted.ok_or_else(|| {
        let count = webhook_endpoints::MAX_ENDPOINTS;
        let why = format!("this mode already has {count} endpoints");
        Error::new(Code::TooManyEndpoints, why)
    })?;
    tx.commit().await?;
    Ok(Created {
        endpoint,
        is_replayed: false,
    })
}
