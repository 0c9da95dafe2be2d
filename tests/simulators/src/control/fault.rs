//! Endpoints that add, list and clear faults.

use std::sync::atomic::Ordering;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{ControlApis, ControlError};
use crate::{
    fault::{Fault, Kind},
    sim::lock,
};

pub(super) async fn add(
    State(apis): State<ControlApis>,
    Path(gateway): Path<String>,
    Json(fault): Json<Fault>,
) -> Result<Json<Value>, ControlError> {
    let api = apis.of(&gateway)?;
    fault
        .check()
        .map_err(|why| (StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n")))?;
    match fault.kind {
        Kind::Down => api.sim().set_up(false).await,
        Kind::CertificateRefused => api.sim().refuse_certificates(true).await,
        _ => api.sim().faults.add(fault),
    }
    Ok(Json(json!({})))
}

pub(super) async fn list(
    State(apis): State<ControlApis>,
    Path(gateway): Path<String>,
) -> Result<Json<Value>, ControlError> {
    let api = apis.of(&gateway)?;
    let sim = api.sim();
    Ok(Json(json!({
        "faults": sim.faults.all(),
        "down": !*sim.up.borrow(),
        "certificate_refused": sim.refuses_certificates.load(Ordering::SeqCst),
    })))
}

/// Clears all faults and releases a held-back notification.
pub(super) async fn clear(
    State(apis): State<ControlApis>,
    Path(gateway): Path<String>,
) -> Result<Json<Value>, ControlError> {
    let api = apis.of(&gateway)?;
    api.sim().faults.clear();
    api.sim().refuse_certificates(false).await;
    api.sim().set_up(true).await;
    lock(&api.sim().held).take();
    Ok(Json(json!({})))
}
