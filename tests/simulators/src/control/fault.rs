//! Breaking and healing.

use std::sync::atomic::Ordering;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{Books, Wrong};
use crate::{
    fault::{Fault, Kind},
    sim::lock,
};

pub(super) async fn add(
    State(books): State<Books>,
    Path(gateway): Path<String>,
    Json(fault): Json<Fault>,
) -> Result<Json<Value>, Wrong> {
    let book = books.of(&gateway)?;
    fault
        .check()
        .map_err(|why| (StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n")))?;
    match fault.kind {
        Kind::Down => book.sim().set_up(false).await,
        Kind::CertificateRefused => book.sim().refuse_certificates(true).await,
        _ => book.sim().faults.add(fault),
    }
    Ok(Json(json!({})))
}

pub(super) async fn list(
    State(books): State<Books>,
    Path(gateway): Path<String>,
) -> Result<Json<Value>, Wrong> {
    let book = books.of(&gateway)?;
    let sim = book.sim();
    Ok(Json(json!({
        "faults": sim.faults.all(),
        "down": !*sim.up.borrow(),
        "certificate_refused": sim.refuses_certificates.load(Ordering::SeqCst),
    })))
}

/// Heals all, and lets a notification go that was held back.
pub(super) async fn clear(
    State(books): State<Books>,
    Path(gateway): Path<String>,
) -> Result<Json<Value>, Wrong> {
    let book = books.of(&gateway)?;
    book.sim().faults.clear();
    book.sim().refuse_certificates(false).await;
    book.sim().set_up(true).await;
    lock(&book.sim().held).take();
    Ok(Json(json!({})))
}
