//! `GET /v1/charges/{id}/refunds`.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use schemas::{
    id::{ChargeId, RefundId},
    page::{Page, PageParams},
    refund::Refund,
};
use serde::Deserialize;
use store::{charges, refunds};

use crate::{
    App, Error,
    auth::{Caller, Read},
    db::Db,
    document::problems,
    examples,
    input::{Id, Query, parameters, range},
    shape,
};

problems!(NotFound);

/// Range of the list.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ListChargeRefunds {
    #[serde(flatten)]
    page: PageParams<RefundId>,
}

parameters!(ListChargeRefunds);

/// List refunds of a charge
///
/// Returns a page of the charge's refunds, newest first.
#[utoipa::path(
    get,
    path = "/v1/charges/{id}/refunds",
    operation_id = "list_charge_refunds",
    tag = "refunds",
    params(("id" = shape::ChargeId, Path, description = "Id of the charge."), ListChargeRefunds),
    responses(
        (status = 200, description = "A page of refunds.", body = shape::RefundPage, example = json!(examples::page(examples::refund()))),
        Problems,
    ),
)]
pub(crate) async fn list_of_charge(
    State(app): State<App>,
    caller: Caller<Read>,
    Id(charge): Id<ChargeId>,
    Query(query): Query<ListChargeRefunds>,
    Db(mut db): Db,
) -> Result<Json<Page<Refund>>, Error> {
    let range = range(query.page)?;
    charges::view(&mut db, &app.store, caller.merchant, caller.mode, charge)
        .await?
        .ok_or_else(|| Error::not_found("charge"))?;
    let (data, has_more) = refunds::list(&mut db, caller.owner(), Some(charge), range).await?;
    Ok(Json(Page { data, has_more }))
}
