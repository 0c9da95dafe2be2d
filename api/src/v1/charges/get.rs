//! `GET /v1/charges/{id}`.

use axum::{Json, extract::State};
use schemas::{charge::Charge, id::ChargeId};
use store::{PgConnection, charges};

use crate::{
    App, Error,
    auth::{Caller, Read},
    db::Db,
    document::problems,
    examples,
    input::Id,
    shape,
};

problems!(NotFound);

/// Get a charge
///
/// Returns a charge in its current state.
#[utoipa::path(
    get,
    path = "/v1/charges/{id}",
    operation_id = "get_charge",
    tag = "charges",
    params(("id" = shape::ChargeId, Path, description = "Id of the charge.")),
    responses(
        (status = 200, description = "The charge.", body = shape::Charge, example = json!(examples::charge())),
        Problems,
    ),
)]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller<Read>,
    Id(id): Id<ChargeId>,
    Db(mut db): Db,
) -> Result<Json<Charge>, Error> {
    find(&app, &mut db, &caller, id).await.map(Json)
}

/// Returns the current state of a charge.
pub(super) async fn find<N>(
    app: &App,
    db: &mut PgConnection,
    caller: &Caller<N>,
    id: ChargeId,
) -> Result<Charge, Error> {
    let charge = charges::view(db, &app.store, caller.merchant, caller.mode, id).await?;
    charge.ok_or_else(|| Error::not_found("charge"))
}
