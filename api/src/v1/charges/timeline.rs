//! `GET /v1/charges/{id}/timeline`.

use axum::{Json, extract::State, http::HeaderMap};
use schemas::{merchant::Permission, timeline::Timeline};
use store::{StoreError, timeline};

use crate::{
    App, Error,
    auth::authenticate,
    input::{Path, path_id},
};

/// Returns all entries about the charge, oldest first.
pub async fn timeline(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Timeline>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    let id = path_id(&id, "charge")?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let found = timeline::of_charge(&mut db, caller.merchant, caller.mode, id).await?;
    found.map(Json).ok_or_else(|| Error::not_found("charge"))
}
