//! Events, for merchants that poll or that missed deliveries.

use axum::{
    Json,
    extract::{RawQuery, State},
    http::HeaderMap,
};
use schemas::{
    event::Event,
    id::{ChargeId, EventId},
    merchant::Permission,
    page::Page,
};
use store::{
    StoreError,
    events::{
        list::{self, EventFilter},
        order,
    },
};

use crate::{
    App, Error,
    auth::authenticate,
    input::{Params, Path, path_id},
};

/// `GET /v1/events`: newest first. Filters: `type` and `charge`. An event that appears later is never older than a listed one.
pub async fn list(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<Event>>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    let mut params = Params::new(query.as_deref());
    let range = params.range(EventId::uuid);
    let filter = EventFilter {
        kind: params.optional("type", "must be a type of event, such as `charge.paid`"),
        subject: params
            .optional("charge", "must be a charge's id")
            .map(ChargeId::uuid),
    };
    params.finish()?;
    order::assign(&app.store, caller.merchant, caller.mode).await?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let (data, has_more) = list::list(&mut db, caller.merchant, caller.mode, filter, range).await?;
    Ok(Json(Page { data, has_more }))
}

/// `GET /v1/events/{id}`.
pub async fn get(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Event>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    let id = path_id(&id, "event")?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let found = list::find(&mut db, caller.merchant, caller.mode, id).await?;
    found.map(Json).ok_or_else(|| Error::not_found("event"))
}
