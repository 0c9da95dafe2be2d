//! `GET /v1/webhook_endpoints`.

use axum::Json;
use schemars::JsonSchema;
use schemas::{
    id::EndpointId,
    page::{Page, PageParams},
    webhook_endpoint::WebhookEndpoint,
};
use serde::Deserialize;
use store::webhook_endpoints;

use crate::{
    Error,
    auth::{Caller, Read},
    db::Db,
    document::problems,
    examples,
    input::{Query, parameters, range},
    shape,
};

problems!();

/// Range of the list.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ListWebhookEndpoints {
    #[serde(flatten)]
    page: PageParams<EndpointId>,
}

parameters!(ListWebhookEndpoints);

/// List webhook endpoints
///
/// Returns a page of webhook endpoints without their secrets, newest first.
#[utoipa::path(
    get,
    path = "/v1/webhook_endpoints",
    operation_id = "list_webhook_endpoints",
    tag = "webhook_endpoints",
    params(ListWebhookEndpoints),
    responses(
        (status = 200, description = "A page of webhook endpoints.", body = shape::WebhookEndpointPage, example = json!(examples::page(examples::webhook_endpoint()))),
        Problems,
    ),
)]
pub(crate) async fn list(
    caller: Caller<Read>,
    Query(query): Query<ListWebhookEndpoints>,
    Db(mut db): Db,
) -> Result<Json<Page<WebhookEndpoint>>, Error> {
    let range = range(query.page)?;
    let (merchant, mode) = caller.owner();
    let (data, has_more) = webhook_endpoints::list(&mut db, merchant, mode, range).await?;
    Ok(Json(Page { data, has_more }))
}
