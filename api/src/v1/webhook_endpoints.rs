//! Webhook endpoints of merchants.

use axum::{
    Json,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use schemas::{
    id::EndpointId,
    merchant::Permission,
    page::Page,
    problem::FieldError,
    validate::Checked,
    webhook_endpoint::{CreateWebhookEndpoint, WebhookEndpoint},
};
use store::{
    StoreError,
    idempotency::{self, KeyClaim},
    webhook_endpoints,
};

use super::charges::REPLAYED;
use crate::{
    App, Code, Error,
    auth::{Caller, authenticate},
    input::{Body, Params, Path, idempotency_key, path_id},
};

/// `POST /v1/webhook_endpoints`: 201 with the secret. A repetition with the same `Idempotency-Key` returns it again.
pub async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    let caller = authenticate(&app, &headers, Permission::Configuration).await?;
    let key = idempotency_key(&headers)?;
    let checked = app
        .endpoints
        .check(body.json()?)
        .map_err(|errors| Error::fields(Code::InvalidRequest, errors))?;
    gateways::http::check_webhook_url(&checked.request.url, app.config.allow_private_webhooks)
        .map_err(|why| {
            Error::fields(
                Code::InvalidRequest,
                vec![FieldError::new("url", "address", why.to_string())],
            )
        })?;
    let (endpoint, is_new) = insert(&app, &caller, key, &checked).await?;
    let mut response = (StatusCode::CREATED, Json(endpoint)).into_response();
    if !is_new {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Returns the endpoint, and true if it is new: false if the same request was received before.
async fn insert(
    app: &App,
    caller: &Caller,
    key: Option<&str>,
    Checked { request, canonical }: &Checked<CreateWebhookEndpoint>,
) -> Result<(WebhookEndpoint, bool), Error> {
    let (owner, id) = ((caller.merchant, caller.mode), EndpointId(store::new_id()));
    let mut tx = app.store.begin().await.map_err(StoreError::from)?;
    if let Some(key) = key {
        let merchant_key = app
            .store
            .merchant_key(&mut tx, caller.merchant.uuid())
            .await?;
        let claimed = idempotency::IdempotentRequest::new(
            &merchant_key,
            "webhook_endpoints.create",
            key,
            canonical,
        );
        match idempotency::claim(&mut tx, owner, &claimed, id.uuid()).await? {
            KeyClaim::New => {}
            KeyClaim::Other => return Err(Error::key_reused()),
            KeyClaim::Same(first) => {
                let shown =
                    webhook_endpoints::with_secret(&mut tx, &app.store, owner, first.into())
                        .await?;
                let shown = shown.ok_or_else(|| Error::not_found("webhook endpoint"))?;
                return Ok((shown, false));
            }
        }
    }
    caller.may_create()?;
    let inserted = webhook_endpoints::insert(&mut tx, &app.store, owner, id, request).await?;
    let endpoint = inserted.ok_or_else(|| {
        Error::new(
            Code::TooManyEndpoints,
            format!(
                "there are {} in this mode",
                webhook_endpoints::MAX_ENDPOINTS
            ),
        )
    })?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok((endpoint, true))
}

/// `GET /v1/webhook_endpoints`: newest first.
pub async fn list(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<WebhookEndpoint>>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    let mut params = Params::new(query.as_deref());
    let range = params.range(EndpointId::uuid);
    params.finish()?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let (data, has_more) =
        webhook_endpoints::list(&mut db, caller.merchant, caller.mode, range).await?;
    Ok(Json(Page { data, has_more }))
}

/// `GET /v1/webhook_endpoints/{id}`.
pub async fn get(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<WebhookEndpoint>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    let id = path_id(&id, "webhook endpoint")?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let found = webhook_endpoints::find(&mut db, caller.merchant, caller.mode, id).await?;
    found
        .map(Json)
        .ok_or_else(|| Error::not_found("webhook endpoint"))
}

/// `DELETE /v1/webhook_endpoints/{id}`: 204. Its waiting deliveries are discarded.
pub async fn delete(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, Error> {
    let caller = authenticate(&app, &headers, Permission::Configuration).await?;
    let id = path_id(&id, "webhook endpoint")?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    if webhook_endpoints::delete(&mut db, caller.merchant, caller.mode, id).await? {
        app.orchestrator.check_endpoint(caller.merchant, id);
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::not_found("webhook endpoint"))
    }
}
