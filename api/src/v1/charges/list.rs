//! `GET /v1/charges`.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use schemas::{
    charge::{Charge, ChargeStatus},
    id::ChargeId,
    page::{Page, PageParams},
};
use serde::Deserialize;
use store::charges::{self, list::ChargeFilter};

use crate::{
    App, Error,
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
pub(crate) struct ListCharges {
    /// Returns only charges with this reference, from 1 to 64 characters.
    #[schemars(length(min = 1, max = 64))]
    reference: Option<String>,
    /// Returns only charges with this status.
    status: Option<ChargeStatus>,
    #[serde(flatten)]
    page: PageParams<ChargeId>,
}

parameters!(ListCharges);

/// List charges
///
/// Returns a page of charges, newest first.
#[utoipa::path(
    get,
    path = "/v1/charges",
    operation_id = "list_charges",
    tag = "charges",
    params(ListCharges),
    responses(
        (status = 200, description = "A page of charges.", body = shape::ChargePage, example = json!(examples::page(examples::charge()))),
        Problems,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    Query(query): Query<ListCharges>,
    Db(mut db): Db,
) -> Result<Json<Page<Charge>>, Error> {
    let range = range(query.page)?;
    let filter = ChargeFilter {
        reference: query.reference,
        status: query.status,
    };
    let owner = caller.owner();
    let (data, has_more) = charges::list::list(&mut db, &app.store, owner, &filter, range).await?;
    Ok(Json(Page { data, has_more }))
}
