//! Endpoints that list a gateway's charges and apply actions to them.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, ControlApis, ControlError};

#[derive(Deserialize)]
pub(super) struct Wanted {
    reference: Option<String>,
    description: Option<String>,
}

pub(super) async fn list(
    State(apis): State<ControlApis>,
    Path(gateway): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, ControlError> {
    let is = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|w| w == has);
    let mut charges = apis.of(&gateway)?.charges();
    charges.retain(|charge| {
        is(&wanted.reference, &charge.reference) && is(&wanted.description, &charge.description)
    });
    charges.sort_by_key(|charge| charge.created_at);
    Ok(Json(json!({ "charges": charges })))
}

#[derive(Deserialize)]
pub(super) struct How {
    amount: Option<i64>,
    /// Number of copies.
    #[serde(default)]
    count: u64,
    #[serde(default)]
    won: bool,
    #[serde(default = "yes")]
    notify: bool,
}

fn yes() -> bool {
    true
}

pub(super) async fn act(
    State(apis): State<ControlApis>,
    Path((gateway, charge, action)): Path<(String, String, String)>,
    Json(how): Json<How>,
) -> Result<Json<Value>, ControlError> {
    if action == "copy" {
        let copied = apis.of(&gateway)?.copy(&charge, how.count);
        copied.map_err(|why| (StatusCode::CONFLICT, why + "\n"))?;
        return Ok(Json(json!({})));
    }
    let action = match action.as_str() {
        "pay" => Action::Pay(how.amount),
        "expire" => Action::Expire,
        "cancel" => Action::Cancel,
        "overdue" => Action::Overdue,
        "fail" => Action::Fail,
        "refund" => Action::Refund(how.amount),
        "dispute" => Action::Dispute(how.amount),
        "close_dispute" => Action::CloseDispute { won: how.won },
        other => {
            let why = format!("a charge has no action {other}\n");
            return Err((StatusCode::NOT_FOUND, why));
        }
    };
    apis.of(&gateway)?
        .act(&charge, action, how.notify)
        .map_err(|why| (StatusCode::CONFLICT, why + "\n"))?;
    Ok(Json(json!({})))
}
