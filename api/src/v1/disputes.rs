//! Disputes as reported by gateways. Merchants respond to them at the gateway.

use axum::{
    Json,
    extract::{RawQuery, State},
    http::HeaderMap,
};
use schemas::{dispute::Dispute, id::DisputeId, merchant::Permission, page::Page};
use store::{StoreError, disputes};

use crate::{
    App, Error,
    auth::authenticate,
    input::{Params, Path, path_id},
};

/// `GET /v1/disputes`: newest first. Filter: `charge`.
pub async fn list(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<Dispute>>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    let mut params = Params::new(query.as_deref());
    let range = params.range(DisputeId::uuid);
    let charge = params.optional("charge", "must be a charge's id");
    params.finish()?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let owner = (caller.merchant, caller.mode);
    let (data, has_more) = disputes::list(&mut db, owner, charge, range).await?;
    Ok(Json(Page { data, has_more }))
}

/// `GET /v1/disputes/{id}`.
pub async fn get(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Dispute>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    let id = path_id(&id, "dispute")?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let found = disputes::find(&mut db, (caller.merchant, caller.mode), id).await?;
    found.map(Json).ok_or_else(|| Error::not_found("dispute"))
}
