//! Endpoints `/v2/gn/infracoes`: disputes by payers (MED).

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    Efi, State as Held, auth::Account, error::ApiError, instant, listing::Listing, pix::Pix,
    refund::Return, request::Sent, settings::RefundEnd,
};
use crate::sim::{decimal, lock};

/// Time in which the banks decide.
const DECIDED_WITHIN: TimeDelta = TimeDelta::days(7);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Open,
    Defended,
    Accepted,
    Rejected,
}

#[derive(Clone)]
pub(crate) struct Infraction {
    pub account: String,
    pub id: String,
    pub end_to_end_id: String,
    pub protocol: String,
    pub amount: i64,
    pub status: Status,
    pub at: DateTime<Utc>,
    /// `analise` and `justificativa` of the defense, as sent.
    pub defense: Option<Value>,
}

impl Infraction {
    /// Returns true while the money is blocked.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.status, Status::Open | Status::Defended)
    }

    pub(crate) fn is_against_merchant(&self) -> bool {
        self.is_open() || self.status == Status::Accepted
    }

    fn json(&self) -> Value {
        let status = match self.status {
            Status::Open => "ABERTA",
            Status::Defended => "EM_DEFESA",
            Status::Accepted => "ACEITA",
            Status::Rejected => "REJEITADA",
        };
        let mut json = json!({
            "idInfracao": self.id, "endToEndId": self.end_to_end_id, "protocolo": self.protocol,
            "valor": decimal(self.amount), "status": status, "criacao": instant(self.at),
            "prazoDefesa": instant(self.at + DECIDED_WITHIN),
        });
        if let Some(defense) = &self.defense {
            json["defesa"] = defense.clone();
        }
        json
    }
}

/// Opens a dispute of a Pix.
pub(super) fn open(
    efi: &Efi,
    state: &mut Held,
    (e2eid, amount): (&str, Option<i64>),
) -> Result<(), String> {
    let pix = state.pix.get(e2eid).ok_or("it is not paid")?;
    let left = pix.amount - pix.returned();
    let amount = amount.unwrap_or(left);
    if amount <= 0 || amount > left {
        return Err("only what was not refunded can be disputed".to_owned());
    }
    let infraction = Infraction {
        account: pix.account.clone(),
        id: efi.sim.random(20),
        end_to_end_id: e2eid.to_owned(),
        protocol: efi.sim.random(12).to_uppercase(),
        amount,
        status: Status::Open,
        at: efi.sim.now(),
        defense: None,
    };
    state.infractions.push(infraction);
    Ok(())
}

/// Closes a dispute. If the merchant loses, refunds the Pix and returns it, and the caller notifies it.
pub(super) fn close(
    efi: &Efi,
    state: &mut Held,
    (paid_by, won): (&[String], bool),
) -> Result<Option<Pix>, String> {
    let is_meant = |one: &&mut Infraction| one.is_open() && paid_by.contains(&one.end_to_end_id);
    let open = state.infractions.iter_mut().find(is_meant);
    let open = open.ok_or("there is no open dispute")?;
    if won {
        open.status = Status::Rejected;
        return Ok(None);
    }
    open.status = Status::Accepted;
    let mut one = Return::new(efi, efi.sim.random(32), (open.amount, "MED_FRAUDE"));
    let pix = state.pix.get_mut(&open.end_to_end_id);
    let pix = pix.ok_or("its Pix is gone")?;
    let balance = state.balances.entry(pix.account.clone()).or_default();
    // the banks take the money even if the balance is too low
    let mut enough = one.amount.max(*balance);
    let before = enough;
    one.settle(&mut enough, RefundEnd::Devolvido, efi.sim.now());
    *balance -= before - enough;
    pix.returns.push(one);
    Ok(Some(pix.clone()))
}

/// Handles `GET /v2/gn/infracoes?inicio=&fim=`.
pub(super) async fn list(
    State(efi): State<Arc<Efi>>,
    Account(account): Account,
    listing: Listing,
) -> Result<Json<Value>, ApiError> {
    let window = listing.window("RequisicaoInvalida")?;
    let state = lock(&efi.state);
    let ours = state
        .infractions
        .iter()
        .filter(|one| one.account == account);
    let found: Vec<_> = ours
        .filter(|one| window.contains(one.at))
        .map(Infraction::json)
        .filter(|one| listing.admits("status", one["status"].as_str().unwrap_or_default()))
        .collect();
    Ok(Json(window.page("infracoes", &found)))
}

/// Handles `POST /v2/gn/infracoes/{id}/defesa`.
pub(super) async fn defend(
    State(efi): State<Arc<Efi>>,
    Path(id): Path<String>,
    Account(account): Account,
    Sent(body): Sent,
) -> Result<Json<Value>, ApiError> {
    let kind = "RequisicaoInvalida";
    if !matches!(body["analise"].as_str(), Some("aceito" | "rejeitado")) {
        return Err(ApiError::invalid(kind, "analise"));
    }
    let reason = body["justificativa"].as_str();
    if reason.is_none_or(str::is_empty) {
        return Err(ApiError::invalid(kind, "justificativa"));
    }
    let mut state = lock(&efi.state);
    let mut ours = state.infractions.iter_mut();
    let one = ours.find(|one| one.account == account && one.id == id);
    let one = one.ok_or_else(|| {
        ApiError::absent("infracao_nao_encontrada", "Nenhuma infração encontrada")
    })?;
    if one.status != Status::Open {
        let message = "A infração não está aberta";
        return Err(ApiError::bad("valor_invalido", kind, message));
    }
    one.status = Status::Defended;
    one.defense = Some(body);
    Ok(Json(one.json()))
}
