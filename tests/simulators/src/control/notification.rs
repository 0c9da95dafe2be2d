//! What came, and what was told.

use axum::{
    Json,
    extract::{Path, State},
    response::IntoResponse,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Books, Wrong};
use crate::{
    notify::{self, Proof, Telling},
    sim::lock,
};

pub(super) async fn requests(
    State(books): State<Books>,
    Path(gateway): Path<String>,
) -> Result<Json<Value>, Wrong> {
    let seen = books.of(&gateway)?.sim().seen();
    Ok(Json(json!({ "requests": seen })))
}

pub(super) async fn list(
    State(books): State<Books>,
    Path(gateway): Path<String>,
) -> Result<Json<Value>, Wrong> {
    let book = books.of(&gateway)?;
    let told = lock(&book.sim().notifications).clone();
    Ok(Json(json!({ "notifications": told })))
}

pub(super) async fn resend(
    State(books): State<Books>,
    Path((gateway, n)): Path<(String, usize)>,
) -> Result<impl IntoResponse, Wrong> {
    let status = notify::send(books.of(&gateway)?.sim(), n).await;
    Ok(Json(json!({ "status": status })))
}

#[derive(Deserialize)]
pub(super) struct Anything {
    url: String,
    body: Value,
}

pub(super) async fn tell(
    State(books): State<Books>,
    Path(gateway): Path<String>,
    Json(anything): Json<Anything>,
) -> Result<Json<Value>, Wrong> {
    let telling = Telling {
        url: anything.url,
        event: "anything".to_owned(),
        body: anything.body.to_string(),
        proof: Proof::None,
        schedule_s: &[],
        exactly_200: false,
        order: None,
    };
    notify::tell(books.of(&gateway)?.sim(), telling);
    Ok(Json(json!({})))
}
