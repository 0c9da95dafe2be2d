//! `GET /v1/refunds`.

use axum::Json;
use schemars::JsonSchema;
use schemas::{
    id::{ChargeId, RefundId},
    page::{Page, PageParams},
    refund::Refund,
};
use serde::Deserialize;
use store::refunds;

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

/// Filters of the list.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ListRefunds {
    /// Returns only refunds of this charge.
    charge: Option<ChargeId>,
    #[serde(flatten)]
    page: PageParams<RefundId>,
}

parameters!(ListRefunds);

/// List refunds
///
/// Returns a page of refunds, newest first.
#[utoipa::path(
    get,
    path = "/v1/refunds",
    operation_id = "list_refunds",
    tag = "refunds",
    params(ListRefunds),
    responses(
        (status = 200, description = "A page of refunds.", body = shape::RefundPage, example = json!(examples::page(examples::refund()))),
        Problems,
    ),
)]
pub(crate) async fn list(
    caller: Caller<Read>,
    Query(query): Query<ListRefunds>,
    Db(mut db): Db,
) -> Result<Json<Page<Refund>>, Error> {
    let range = range(query.page)?;
    let (data, has_more) = refunds::list(&mut db, caller.owner(), query.charge, range).await?;
    Ok(Json(Page { data, has_more }))
}
