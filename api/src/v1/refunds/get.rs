//! `GET /v1/refunds/{id}`.

use axum::Json;
use schemas::{id::RefundId, refund::Refund};
use store::refunds;

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

/// Get a refund
///
/// Returns a refund in its current state.
#[utoipa::path(
    get,
    path = "/v1/refunds/{id}",
    operation_id = "get_refund",
    tag = "refunds",
    params(("id" = shape::RefundId, Path, description = "Id of the refund.")),
    responses(
        (status = 200, description = "The refund.", body = shape::Refund, example = json!(examples::refund())),
        Problems,
    ),
)]
pub(crate) async fn get(
    caller: Caller<Read>,
    Id(id): Id<RefundId>,
    Db(mut db): Db,
) -> Result<Json<Refund>, Error> {
    let row = refunds::find(&mut db, id).await?;
    let row = row.filter(|row| (row.merchant, row.mode) == caller.owner());
    row.map(|row| Json(row.shown()))
        .ok_or_else(|| Error::not_found("refund"))
}
