//! Endpoints for a gateway's settings, its clock and its reset.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ControlApi, ControlApis, ControlError};
use crate::sim::Settings;

pub(super) async fn reset(
    State(apis): State<ControlApis>,
    Path(gateway): Path<String>,
) -> Result<(), ControlError> {
    let api = apis.of(&gateway)?;
    api.sim().reset();
    api.reset();
    Ok(())
}

pub(super) async fn read(
    State(apis): State<ControlApis>,
    Path(gateway): Path<String>,
) -> Result<Json<Value>, ControlError> {
    Ok(Json(all(apis.of(&gateway)?.as_ref())))
}

/// Returns the settings of all gateways together with the gateway's own.
fn all(api: &dyn ControlApi) -> Value {
    let mut all = shared(api);
    if let Value::Object(own) = api.own_settings() {
        all.extend(own);
    }
    Value::Object(all)
}

fn shared(api: &dyn ControlApi) -> Map<String, Value> {
    match serde_json::to_value(api.sim().settings()) {
        Ok(Value::Object(shared)) => shared,
        _ => Map::new(),
    }
}

/// Changes the named settings. The others remain.
pub(super) async fn set(
    State(apis): State<ControlApis>,
    Path(gateway): Path<String>,
    Json(changes): Json<Map<String, Value>>,
) -> Result<Json<Value>, ControlError> {
    let api = apis.of(&gateway)?;
    let wrong = |why: String| (StatusCode::UNPROCESSABLE_ENTITY, why + "\n");
    let (mut shared, mut own) = (shared(api.as_ref()), api.own_settings());
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
    api.set_own(own).map_err(wrong)?;
    api.sim().set(shared);
    Ok(Json(all(api.as_ref())))
}

#[derive(Deserialize)]
pub(super) struct Clock {
    advance_s: i64,
}

pub(super) async fn clock(
    State(apis): State<ControlApis>,
    Path(gateway): Path<String>,
    Json(clock): Json<Clock>,
) -> Result<Json<Value>, ControlError> {
    let api = apis.of(&gateway)?;
    api.sim().advance(clock.advance_s);
    api.due();
    Ok(Json(json!({ "now": api.sim().now() })))
}
