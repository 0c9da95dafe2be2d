//! `GET /v1/charges`.

use axum::{
    Json,
    extract::{RawQuery, State},
    http::HeaderMap,
};
use schemas::{charge::Charge, id::ChargeId, merchant::Permission, page::Page};
use store::{
    StoreError,
    charges::{self, list::ChargeFilter},
};

use crate::{App, Error, auth::authenticate, input::Params};

/// Returns a page of charges, newest first. Filters: `reference` and `status`.
pub async fn list(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<Charge>>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    let mut params = Params::new(query.as_deref());
    let range = params.range(ChargeId::uuid);
    let filter = ChargeFilter {
        reference: params.optional("reference", "must be text"),
        status: params.optional(
            "status",
            "must be a status of a charge, such as `pending` or `paid`",
        ),
    };
    params.finish()?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let (data, has_more) = charges::list::list(
        &mut db,
        &app.store,
        (caller.merchant, caller.mode),
        &filter,
        range,
    )
    .await?;
    Ok(Json(Page { data, has_more }))
}
