//! `GET /v1/disputes`.

use axum::Json;
use schemars::JsonSchema;
use schemas::{
    dispute::Dispute,
    id::{ChargeId, DisputeId},
    page::{Page, PageParams},
};
use serde::Deserialize;
use store::disputes;

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
pub(crate) struct ListDisputes {
    /// Returns only disputes of this charge.
    charge: Option<ChargeId>,
    #[serde(flatten)]
    page: PageParams<DisputeId>,
}

parameters!(ListDisputes);

/// List disputes
///
/// Returns a page of disputes, newest first.
#[utoipa::path(
    get,
    path = "/v1/disputes",
    operation_id = "list_disputes",
    tag = "disputes",
    params(ListDisputes),
    responses(
        (status = 200, description = "A page of disputes.", body = shape::DisputePage, example = json!(examples::page(examples::dispute()))),
        Problems,
    ),
)]
pub(crate) async fn list(
    caller: Caller<Read>,
    Query(query): Query<ListDisputes>,
    Db(mut db): Db,
) -> Result<Json<Page<Dispute>>, Error> {
    let range = range(query.page)?;
    let (data, has_more) = disputes::list(&mut db, caller.owner(), query.charge, range).await?;
    Ok(Json(Page { data, has_more }))
}
