//! The account itself.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{Account, Asaas, reais};
use crate::sim::lock;

/// `GET /v3/finance/balance`.
pub(super) async fn balance(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
) -> Json<Value> {
    let state = lock(&asaas.state);
    let paid = state
        .payments
        .values()
        .filter(|payment| payment.account == account && payment.paid_at.is_some());
    Json(json!({ "balance": reais(paid.map(|payment| payment.amount).sum()) }))
}

/// `GET /v3/myAccount`.
pub(super) async fn account(Account(account): Account) -> Json<Value> {
    Json(
        json!({ "object": "account", "id": account, "name": "Conta simulada", "personType": "JURIDICA", "country": "Brasil" }),
    )
}
