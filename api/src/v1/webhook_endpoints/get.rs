//! `GET /v1/webhook_endpoints/{id}`.

use axum::Json;
use schemas::{id::EndpointId, webhook_endpoint::WebhookEndpoint};
use store::webhook_endpoints;

use crate::{
    Error,
    auth::{Caller, Read},
    db::Db,
    document::problems,
    examples,
    input::Id,
    shape,
};

problems!(NotFound);

/// Get a webhook endpoint
///
/// Returns a webhook endpoint without its secret.
#[utoipa::path(
    get,
    path = "/v1/webhook_endpoints/{id}",
    operation_id = "get_webhook_endpoint",
    tag = "webhook_endpoints",
    params(("id" = shape::EndpointId, Path, description = "Id of the webhook endpoint.")),
    responses(
        (status = 200, description = "The webhook endpoint.", body = shape::WebhookEndpoint, example = json!(examples::webhook_endpoint())),
        Problems,
    ),
)]
pub(crate) async fn get(
    caller: Caller<Read>,
    Id(id): Id<EndpointId>,
    Db(mut db): Db,
) -> Result<Json<WebhookEndpoint>, Error> {
    let found = webhook_endpoints::find(&mut db, caller.merchant, caller.mode, id).await?;
    found
        .map(Json)
        .ok_or_else(|| Error::not_found("webhook endpoint"))
}
