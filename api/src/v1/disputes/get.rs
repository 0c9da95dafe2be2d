//! `GET /v1/disputes/{id}`.

use axum::Json;
use schemas::{dispute::Dispute, id::DisputeId};
use store::disputes;

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

/// Get a dispute
///
/// Returns a dispute in its current state. Respond to it at the gateway.
#[utoipa::path(
    get,
    path = "/v1/disputes/{id}",
    operation_id = "get_dispute",
    tag = "disputes",
    params(("id" = shape::DisputeId, Path, description = "Id of the dispute.")),
    responses(
        (status = 200, description = "The dispute.", body = shape::Dispute, example = json!(examples::dispute())),
        Problems,
    ),
)]
pub(crate) async fn get(
    caller: Caller<Read>,
    Id(id): Id<DisputeId>,
    Db(mut db): Db,
) -> Result<Json<Dispute>, Error> {
    let found = disputes::find(&mut db, caller.owner(), id).await?;
    found.map(Json).ok_or_else(|| Error::not_found("dispute"))
}
