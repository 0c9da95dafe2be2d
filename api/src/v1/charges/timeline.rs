//! `GET /v1/charges/{id}/timeline`.

use axum::Json;
use schemas::{id::ChargeId, timeline::Timeline};
use store::timeline;

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

/// Get the timeline of a charge
///
/// Returns everything that happened to a charge, oldest first: attempts, notifications, events, refunds, disputes and deliveries.
#[utoipa::path(
    get,
    path = "/v1/charges/{id}/timeline",
    operation_id = "get_charge_timeline",
    tag = "charges",
    params(("id" = shape::ChargeId, Path, description = "Id of the charge.")),
    responses(
        (status = 200, description = "The timeline.", body = shape::Timeline, example = json!(examples::timeline())),
        Problems,
    ),
)]
pub(crate) async fn timeline(
    caller: Caller<Read>,
    Id(id): Id<ChargeId>,
    Db(mut db): Db,
) -> Result<Json<Timeline>, Error> {
    let found = timeline::of_charge(&mut db, caller.merchant, caller.mode, id).await?;
    found.map(Json).ok_or_else(|| Error::not_found("charge"))
}
