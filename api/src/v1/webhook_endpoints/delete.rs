//! `DELETE /v1/webhook_endpoints/{id}`.

use activities::{Starter, Subject};
use axum::{extract::State, http::StatusCode};
use schemas::id::EndpointId;
use store::webhook_endpoints;

use crate::{
    App, Error,
    auth::{Caller, Configuration},
    db::Db,
    document::problems,
    input::Id,
    shape,
};

problems!(NotFound);

/// Delete a webhook endpoint
///
/// Deletes a webhook endpoint and discards its waiting deliveries.
#[utoipa::path(
    delete,
    path = "/v1/webhook_endpoints/{id}",
    operation_id = "delete_webhook_endpoint",
    tag = "webhook_endpoints",
    params(("id" = shape::EndpointId, Path, description = "Id of the webhook endpoint.")),
    responses((status = 204, description = "The endpoint is deleted."), Problems),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller<Configuration>,
    Id(id): Id<EndpointId>,
    Db(mut db): Db,
) -> Result<StatusCode, Error> {
    if !webhook_endpoints::delete(&mut db, caller.merchant, caller.mode, id).await? {
        return Err(Error::not_found("webhook endpoint"));
    }
    let subject = Subject::endpoint(caller.merchant, id);
    app.orchestrator.client.wake_later(subject);
    Ok(StatusCode::NO_CONTENT)
}
