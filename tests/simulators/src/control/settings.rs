//! How a gateway behaves, what time it is there, and a new beginning.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Book, Books, Wrong};
use crate::sim::Settings;

pub(super) async fn reset(
    State(books): State<Books>,
    Path(gateway): Path<String>,
) -> Result<(), Wrong> {
    let book = books.of(&gateway)?;
    book.sim().reset();
    book.reset();
    Ok(())
}

pub(super) async fn read(
    State(books): State<Books>,
    Path(gateway): Path<String>,
) -> Result<Json<Value>, Wrong> {
    Ok(Json(all(books.of(&gateway)?.as_ref())))
}

/// Those of all gateways, and the gateway's own.
fn all(book: &dyn Book) -> Value {
    let mut all = shared(book);
    if let Value::Object(own) = book.own_settings() {
        all.extend(own);
    }
    Value::Object(all)
}

fn shared(book: &dyn Book) -> Map<String, Value> {
    match serde_json::to_value(book.sim().settings()) {
        Ok(Value::Object(shared)) => shared,
        _ => Map::new(),
    }
}

/// Changes what is named; the rest stays.
pub(super) async fn set(
    State(books): State<Books>,
    Path(gateway): Path<String>,
    Json(changes): Json<Map<String, Value>>,
) -> Result<Json<Value>, Wrong> {
    let book = books.of(&gateway)?;
    let wrong = |why: String| (StatusCode::UNPROCESSABLE_ENTITY, why + "\n");
    let (mut shared, mut own) = (shared(book.as_ref()), book.own_settings());
    for (name, value) in changes {
        if let Some(now) = shared.get_mut(&name) {
            *now = value;
        } else if let Some(now) = own.get_mut(&name) {
            *now = value;
        } else {
            return Err(wrong(format!("no setting is called {name}")));
        }
    }
    let shared: Settings =
        serde_json::from_value(Value::Object(shared)).map_err(|error| wrong(error.to_string()))?;
    if !(0.0..=1.0).contains(&shared.notification_loss) {
        return Err(wrong("notification_loss is from 0 to 1".to_owned()));
    }
    book.set_own(own).map_err(wrong)?;
    book.sim().set(shared);
    Ok(Json(all(book.as_ref())))
}

#[derive(Deserialize)]
pub(super) struct Clock {
    advance_s: i64,
}

pub(super) async fn clock(
    State(books): State<Books>,
    Path(gateway): Path<String>,
    Json(clock): Json<Clock>,
) -> Result<Json<Value>, Wrong> {
    let book = books.of(&gateway)?;
    book.sim().advance(clock.advance_s);
    book.due();
    Ok(Json(json!({ "now": book.sim().now() })))
}
