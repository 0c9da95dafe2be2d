//! Endpoints `/v2/pix/{e2eid}/devolucao/{id}`: full and partial refunds of a Pix.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    Efi, Planned, State as Held,
    auth::Account,
    error::ApiError,
    instant,
    pix::{Pix, absent, settlement_id},
    request::{Sent, centavos},
    settings::RefundEnd,
};
use crate::sim::{decimal, lock};

const KIND: &str = "PixDevolucaoInvalida";
/// Time after which a Pix can no longer be refunded.
const MAX_AGE: TimeDelta = TimeDelta::days(90);
const MAX_ID: usize = 35;
const MAX_DESCRIPTION: usize = 140;
const NOT_ENOUGH: &str = "Saldo insuficiente";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Processing,
    Returned,
    NotDone,
}

/// Refund of a Pix.
#[derive(Clone)]
pub(crate) struct Return {
    pub id: String,
    pub rtr_id: String,
    pub amount: i64,
    /// `natureza`.
    pub nature: &'static str,
    pub description: Option<String>,
    pub asked_at: DateTime<Utc>,
    pub settled_at: Option<DateTime<Utc>>,
    pub status: Status,
    pub reason: Option<&'static str>,
}

impl Return {
    pub(crate) fn new(efi: &Efi, id: String, (amount, nature): (i64, &'static str)) -> Self {
        Self {
            id,
            rtr_id: settlement_id(efi, 'D'),
            amount,
            nature,
            description: None,
            asked_at: efi.sim.now(),
            settled_at: None,
            status: Status::Processing,
            reason: None,
        }
    }

    /// Returns true unless the refund failed.
    pub(crate) fn is_live(&self) -> bool {
        self.status != Status::NotDone
    }

    pub(crate) fn json(&self) -> Value {
        let mut time = json!({ "solicitacao": instant(self.asked_at) });
        if let Some(at) = self.settled_at {
            time["liquidacao"] = instant(at).into();
        }
        let status = match self.status {
            Status::Processing => "EM_PROCESSAMENTO",
            Status::Returned => "DEVOLVIDO",
            Status::NotDone => "NAO_REALIZADO",
        };
        let mut json = json!({
            "id": self.id, "rtrId": self.rtr_id, "valor": decimal(self.amount), "natureza": self.nature,
            "horario": time, "status": status,
        });
        if let Some(description) = &self.description {
            json["descricao"] = description.as_str().into();
        }
        if let Some(reason) = self.reason {
            json["motivo"] = reason.into();
        }
        json
    }

    /// Ends the refund, and debits the balance if it is sufficient.
    pub(crate) fn settle(&mut self, balance: &mut i64, end: RefundEnd, at: DateTime<Utc>) {
        if end == RefundEnd::Devolvido && *balance >= self.amount {
            *balance -= self.amount;
            self.status = Status::Returned;
            self.settled_at = Some(at);
        } else {
            self.status = Status::NotDone;
            self.reason = Some(if *balance < self.amount {
                NOT_ENOUGH
            } else {
                "Recusada pela instituição do pagador"
            });
        }
    }
}

/// Handles `PUT /v2/pix/{e2eid}/devolucao/{id}`.
pub(super) async fn create(
    State(efi): State<Arc<Efi>>,
    Path((e2eid, id)): Path<(String, String)>,
    Account(account): Account,
    Sent(body): Sent,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    if !(1..=MAX_ID).contains(&id.len()) || !id.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return Err(ApiError::invalid(KIND, "id"));
    }
    let value = body.get("valor");
    let amount = centavos(value.ok_or_else(|| ApiError::missing(KIND, "valor"))?);
    let amount = amount.ok_or_else(|| ApiError::invalid(KIND, "valor"))?;
    let mut one = Return::new(&efi, id, (amount, nature(&body)?));
    one.description = description(&body)?;
    let mut state = lock(&efi.state);
    let pix = state.pix.get_mut(&e2eid);
    let pix = pix
        .filter(|pix| pix.account == account)
        .ok_or_else(absent)?;
    check(pix, &one)?;
    let json = one.json();
    let planned = Planned::Return(e2eid, one.id.clone());
    pix.returns.push(one);
    let wait_ms = lock(&efi.settings).refund_settles_ms;
    efi.plan(&mut state, wait_ms, planned);
    Ok((StatusCode::CREATED, Json(json)))
}

fn nature(body: &Value) -> Result<&'static str, ApiError> {
    match body.get("natureza").map(Value::as_str) {
        None | Some(Some("ORIGINAL")) => Ok("ORIGINAL"),
        Some(Some("RETIRADA")) => Ok("RETIRADA"),
        Some(_) => Err(ApiError::invalid(KIND, "natureza")),
    }
}

fn description(body: &Value) -> Result<Option<String>, ApiError> {
    let Some(value) = body.get("descricao") else {
        return Ok(None);
    };
    let text = value.as_str();
    let text = text.filter(|text| text.chars().count() <= MAX_DESCRIPTION);
    let text = text.ok_or_else(|| ApiError::invalid(KIND, "descricao"))?;
    Ok(Some(text.to_owned()))
}

fn check(pix: &Pix, one: &Return) -> Result<(), ApiError> {
    if pix.returns.iter().any(|other| other.id == one.id) {
        let message = "Já existe uma devolução com o id informado";
        return Err(ApiError::duplicate("devolucao_id_duplicado", KIND, message));
    }
    if one.asked_at - pix.at > MAX_AGE {
        let message = "O prazo para devolução do Pix expirou";
        return Err(ApiError::bad("valor_invalido", KIND, message));
    }
    if pix.returned() + one.amount > pix.amount {
        let message = "A soma das devoluções é maior que o valor do Pix";
        return Err(ApiError::bad("valor_invalido", KIND, message));
    }
    Ok(())
}

/// Handles `GET /v2/pix/{e2eid}/devolucao/{id}`.
pub(super) async fn read(
    State(efi): State<Arc<Efi>>,
    Path((e2eid, id)): Path<(String, String)>,
    Account(account): Account,
) -> Result<Json<Value>, ApiError> {
    let state = lock(&efi.state);
    let pix = state.pix.get(&e2eid).filter(|pix| pix.account == account);
    let one = pix.ok_or_else(absent)?.returns.iter();
    let one = one.into_iter().find(|one| one.id == id).ok_or_else(|| {
        let message = "Nenhuma devolução encontrada para o id informado";
        ApiError::absent("devolucao_nao_encontrada", message)
    })?;
    Ok(Json(one.json()))
}

/// Ends a refund and returns its Pix.
pub(super) fn settle(
    state: &mut Held,
    (e2eid, id): (&str, &str),
    (end, opening, at): (RefundEnd, i64, DateTime<Utc>),
) -> Option<Pix> {
    let pix = state.pix.get_mut(e2eid)?;
    let one = pix.returns.iter_mut().find(|one| one.id == id)?;
    let balance = state.balances.entry(pix.account.clone());
    one.settle(balance.or_insert(opening), end, at);
    Some(pix.clone())
}
