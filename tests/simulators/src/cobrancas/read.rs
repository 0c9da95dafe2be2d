//! Endpoints that read a charge, a list, or the history of a token.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use chrono::{NaiveDate, TimeDelta};
use serde_json::{Value, json};

use super::{
    Cobrancas, answer,
    auth::Account,
    charge::{Charge, Way, day},
    error::ApiError,
};
use crate::sim::lock;

const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

/// Handles `GET /v1/charge/{id}`.
pub(super) async fn charge(
    State(cobrancas): State<Arc<Cobrancas>>,
    Path(id): Path<String>,
    Account(account): Account,
) -> Result<Json<Value>, ApiError> {
    let charge = cobrancas.find(&account, &id)?;
    Ok(answer(&charge.json()))
}

type Filters = HashMap<String, String>;

/// Handles `GET /v1/charges`, newest first. `charge_type`, `begin_date` and `end_date` are required.
pub(super) async fn list(
    State(cobrancas): State<Arc<Cobrancas>>,
    Account(account): Account,
    Query(filters): Query<Filters>,
) -> Result<Json<Value>, ApiError> {
    let kind = required(&filters, "charge_type")?;
    if !matches!(kind, "billet" | "card" | "carnet" | "subscription") {
        let message = "deve ser billet, card, carnet ou subscription";
        return Err(ApiError::property("/charge_type", message));
    }
    let (from, to) = (date(&filters, "begin_date")?, date(&filters, "end_date")?);
    if to < from {
        return Err(ApiError::property("/end_date", "é anterior a begin_date"));
    }
    let size = number(&filters, "limit", PAGE)?.min(MAX_PAGE);
    let page = number(&filters, "page", 1)?;
    let lag = lock(&cobrancas.settings).list_lag_ms;
    let lag = TimeDelta::milliseconds(i64::try_from(lag).unwrap_or_default());
    let newest = cobrancas.sim.now() - lag;
    let state = lock(&cobrancas.state);
    let found = state.charges.values().rev().filter(|charge| {
        charge.account == account
            && is_of_kind(charge, kind)
            && (from..=to).contains(&day(charge.created_at))
            && charge.created_at <= newest
            && is_meant(charge, &filters)
    });
    let shown = found.skip((page - 1).saturating_mul(size)).take(size);
    let shown: Vec<_> = shown.map(Charge::listed).collect();
    Ok(answer(&Value::Array(shown)))
}

fn is_of_kind(charge: &Charge, kind: &str) -> bool {
    match charge.method() {
        Some("all") => matches!(kind, "billet" | "card"),
        Some("credit_card") => kind == "card",
        _ => kind == "billet",
    }
}

fn is_meant(charge: &Charge, filters: &Filters) -> bool {
    let admits = |name: &str, value: &str| filters.get(name).is_none_or(|wanted| wanted == value);
    let document = match &charge.way {
        Way::Billet(billet) => {
            let company = &billet.customer["juridical_person"]["cnpj"];
            billet.customer["cpf"].as_str().or(company.as_str())
        }
        _ => None,
    };
    admits(
        "custom_id",
        charge.order.custom_id.as_deref().unwrap_or_default(),
    ) && admits("status", charge.status)
        && admits("value", &charge.order.total.to_string())
        && admits("customer_document", document.unwrap_or_default())
}

fn required<'a>(filters: &'a Filters, name: &str) -> Result<&'a str, ApiError> {
    let value = filters.get(name).filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| ApiError::property(&format!("/{name}"), "é obrigatório"))?;
    Ok(value)
}

fn date(filters: &Filters, name: &str) -> Result<NaiveDate, ApiError> {
    let wrong = |_| ApiError::property(&format!("/{name}"), "deve ser uma data AAAA-MM-DD");
    required(filters, name)?.parse().map_err(wrong)
}

/// Returns a number that is at least 1.
fn number(filters: &Filters, name: &str, default: usize) -> Result<usize, ApiError> {
    let Some(text) = filters.get(name) else {
        return Ok(default);
    };
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| ApiError::property(&format!("/{name}"), "deve ser um número"))
}

/// Handles `GET /v1/notification/{token}`: returns the history and stops the posts of the token.
pub(super) async fn notification(
    State(cobrancas): State<Arc<Cobrancas>>,
    Path(token): Path<String>,
    Account(account): Account,
) -> Result<Json<Value>, ApiError> {
    let state = lock(&cobrancas.state);
    let mut ours = state.charges.values();
    let charge = ours.find(|charge| charge.account == account && charge.token == token);
    let Some(charge) = charge else {
        let status = cobrancas.not_found();
        return Err(ApiError::absent(
            status,
            "invalid_token",
            "Token de notificação inválido",
        ));
    };
    charge.received.cancel();
    Ok(answer(&Value::Array(charge.reported())))
}

impl Cobrancas {
    pub(super) fn not_found(&self) -> StatusCode {
        let status = lock(&self.settings).not_found_status;
        StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_FOUND)
    }

    pub(super) fn find(&self, account: &str, id: &str) -> Result<Charge, ApiError> {
        let state = lock(&self.state);
        let charge = id.parse().ok().and_then(|id: u64| state.charges.get(&id));
        let charge = charge.filter(|charge| charge.account == account).cloned();
        charge.ok_or_else(|| {
            let text = "Cobrança não encontrada";
            ApiError::absent(self.not_found(), "not_found", text)
        })
    }
}

/// Wraps data in this API's envelope.
pub(super) fn envelope(data: &Value) -> Json<Value> {
    Json(json!({ "code": 200, "data": data }))
}
