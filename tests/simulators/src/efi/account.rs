//! Endpoints `/v2/gn/saldo` and `/v2/gn/config`.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use super::{Efi, auth::Account, error::ApiError, listing::Listing, request::Sent};
use crate::sim::{decimal, lock};

/// Handles `GET /v2/gn/saldo`.
pub(super) async fn balance(
    State(efi): State<Arc<Efi>>,
    Account(account): Account,
    listing: Listing,
) -> Json<Value> {
    let opening = lock(&efi.settings).opening_balance;
    let state = lock(&efi.state);
    let balance = state.balances.get(&account).copied().unwrap_or(opening);
    let claimed = state
        .infractions
        .iter()
        .filter(|one| one.account == account && one.is_open());
    let claimed: i64 = claimed.map(|one| one.amount).sum();
    let mut json = json!({ "saldo": decimal((balance - claimed).max(0)) });
    if listing.get("bloqueios") == Some("true") {
        json["bloqueios"] =
            json!({ "judicial": "0.00", "med": decimal(claimed), "total": decimal(claimed) });
    }
    Json(json)
}

/// Handles `GET /v2/gn/config`.
pub(super) async fn config(State(efi): State<Arc<Efi>>, Account(account): Account) -> Json<Value> {
    let config = lock(&efi.state).configs.get(&account).cloned();
    Json(config.unwrap_or_else(|| json!({ "pix": { "receberSemChave": true, "chaves": {} } })))
}

/// Handles `PUT /v2/gn/config`.
pub(super) async fn configure(
    State(efi): State<Arc<Efi>>,
    Account(account): Account,
    Sent(body): Sent,
) -> Result<StatusCode, ApiError> {
    if !body["pix"].is_object() {
        return Err(ApiError::missing("RequisicaoInvalida", "pix"));
    }
    lock(&efi.state).configs.insert(account, body);
    Ok(StatusCode::NO_CONTENT)
}
