//! `GET /v1/events/{id}`.

use axum::Json;
use schemas::{event::Event, id::EventId};
use store::events::list;

use crate::{
    Error,
    auth::{Caller, Read},
    db::Db,
    document::problems,
    examples,
    input::Id,
    shape,
};

problems!(NotFound);

/// Get an event
///
/// Returns an event, as it was or will be delivered.
#[utoipa::path(
    get,
    path = "/v1/events/{id}",
    operation_id = "get_event",
    tag = "events",
    params(("id" = shape::EventId, Path, description = "Id of the event.")),
    responses(
        (status = 200, description = "The event.", body = shape::Event, example = json!(examples::event())),
        Problems,
    ),
)]
pub(crate) async fn get(
    caller: Caller<Read>,
    Id(id): Id<EventId>,
    Db(mut db): Db,
) -> Result<Json<Event>, Error> {
    let found = list::find(&mut db, caller.merchant, caller.mode, id).await?;
    found.map(Json).ok_or_else(|| Error::not_found("event"))
}
