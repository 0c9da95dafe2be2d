//! Endpoints that list received requests and sent notifications.

use axum::{
    Json,
    extract::{Path, State},
    response::IntoResponse,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ControlApis, ControlError};
use crate::{
    notify::{self, NotificationPlan, Proof},
    sim::lock,
};

pub(super) async fn requests(
    State(apis): State<ControlApis>,
    Path(gateway): Path<String>,
) -> Result<Json<Value>, ControlError> {
    let seen = apis.of(&gateway)?.sim().seen();
    Ok(Json(json!({ "requests": seen })))
}

pub(super) async fn list(
    State(apis): State<ControlApis>,
    Path(gateway): Path<String>,
) -> Result<Json<Value>, ControlError> {
    let api = apis.of(&gateway)?;
    let reported = lock(&api.sim().notifications).clone();
    Ok(Json(json!({ "notifications": reported })))
}

pub(super) async fn resend(
    State(apis): State<ControlApis>,
    Path((gateway, n)): Path<(String, usize)>,
) -> Result<impl IntoResponse, ControlError> {
    let status = notify::send(apis.of(&gateway)?.sim(), n).await;
    Ok(Json(json!({ "status": status })))
}

#[derive(Deserialize)]
pub(super) struct Anything {
    url: String,
    body: Value,
}

pub(super) async fn notify(
    State(apis): State<ControlApis>,
    Path(gateway): Path<String>,
    Json(anything): Json<Anything>,
) -> Result<Json<Value>, ControlError> {
    let plan = NotificationPlan {
        url: anything.url,
        event: "anything".to_owned(),
        body: anything.body.to_string(),
        proof: Proof::None,
        schedule_s: &[],
        exactly_200: false,
        order: None,
    };
    notify::notify(apis.of(&gateway)?.sim(), plan);
    Ok(Json(json!({})))
}
