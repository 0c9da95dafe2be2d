//! `GET /v1/charges/{id}`.

use axum::{Json, extract::State, http::HeaderMap};
use schemas::{charge::Charge, id::ChargeId, merchant::Permission};
use store::{StoreError, charges};

use crate::{
    App, Error,
    auth::{Caller, authenticate},
    input::{Path, path_id},
};

/// Returns a charge.
pub async fn get(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Charge>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    Ok(Json(show(&app, &caller, path_id(&id, "charge")?).await?))
}

/// Returns the current state of a charge.
pub(super) async fn show(app: &App, caller: &Caller, id: ChargeId) -> Result<Charge, Error> {
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let shown = charges::view(&mut db, &app.store, caller.merchant, caller.mode, id).await?;
    shown.ok_or_else(|| Error::not_found("charge"))
}
