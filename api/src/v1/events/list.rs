//! `GET /v1/events`.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use schemas::{
    event::{Event, EventType},
    id::{ChargeId, EventId},
    page::{Page, PageParams},
};
use serde::Deserialize;
use store::events::{
    list::{self, EventFilter},
    order,
};

use crate::{
    App, Error,
    auth::{Caller, Read},
    document::problems,
    examples,
    input::{Query, parameters, range},
    shape,
};

problems!();

/// Filters of the list.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ListEvents {
    /// Returns only events of this type.
    #[serde(rename = "type")]
    kind: Option<EventType>,
    /// Returns only events of this charge.
    charge: Option<ChargeId>,
    #[serde(flatten)]
    page: PageParams<EventId>,
}

parameters!(ListEvents);

/// List events
///
/// Returns a page of events, newest first. An event that appears later is never older than a listed one, so that a merchant can poll.
#[utoipa::path(
    get,
    path = "/v1/events",
    operation_id = "list_events",
    tag = "events",
    params(ListEvents),
    responses(
        (status = 200, description = "A page of events.", body = shape::EventPage, example = json!(examples::page(examples::event()))),
        Problems,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    Query(query): Query<ListEvents>,
) -> Result<Json<Page<Event>>, Error> {
    let range = range(query.page)?;
    let filter = EventFilter {
        kind: query.kind,
        subject: query.charge.map(ChargeId::uuid),
    };
    let (merchant, mode) = caller.owner();
    // uses connections of its own, so that this handler holds none yet
    order::assign(&app.store, merchant, mode).await?;
    let mut db = app.db().await?;
    let (data, has_more) = list::list(&mut db, merchant, mode, filter, range).await?;
    Ok(Json(Page { data, has_more }))
}
