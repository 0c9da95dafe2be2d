//! Endpoints `/v2/pix`: received Pix.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Efi, auth::Account, error::ApiError, instant, listing::Listing, refund::Return};
use crate::sim::{decimal, lock};

/// Efí's number in the payments system (ISPB).
const ISPB: &str = "09089356";

#[derive(Clone)]
pub(crate) struct Pix {
    pub account: String,
    pub end_to_end_id: String,
    /// `txid` of the charge. Without it, the Pix is of a static code or a transfer to the key.
    pub txid: Option<String>,
    pub key: String,
    pub amount: i64,
    /// `componentesValor`.
    pub parts: Option<Value>,
    pub at: DateTime<Utc>,
    /// Kind (`cpf` or `cnpj`) and number of the payer's document, if the charge names a payer.
    pub payer: Option<(&'static str, String)>,
    pub returns: Vec<Return>,
}

impl Pix {
    /// Returns the JSON of a notification. `devolucoes` is present only if there are refunds.
    pub(crate) fn reported(&self) -> Value {
        let mut json = json!({
            "endToEndId": self.end_to_end_id,
            "valor": decimal(self.amount),
            "chave": self.key,
            "horario": instant(self.at),
            "infoPagador": "pago no simulador",
        });
        if let Some(txid) = &self.txid {
            json["txid"] = txid.as_str().into();
        }
        if let Some(parts) = &self.parts {
            json["componentesValor"] = parts.clone();
        }
        if !self.returns.is_empty() {
            json["devolucoes"] = self.returns.iter().map(Return::json).collect();
        }
        json
    }

    /// Returns the JSON of the read response.
    pub(crate) fn json(&self) -> Value {
        let mut json = self.reported();
        if self.returns.is_empty() {
            json["devolucoes"] = json!([]);
        }
        json
    }

    /// Returns the amount refunded or being refunded, in centavos.
    pub(crate) fn returned(&self) -> i64 {
        let live = self.returns.iter().filter(|one| one.is_live());
        live.map(|one| one.amount).sum()
    }
}

/// Returns an `endToEndId` in the banks' format: `letter` and 31 more characters.
pub(crate) fn settlement_id(efi: &Efi, letter: char) -> String {
    let now = efi.sim.now().format("%Y%m%d%H%M");
    format!("{letter}{ISPB}{now}{}", efi.sim.random(11))
}

pub(super) fn absent() -> ApiError {
    ApiError::absent("pix_nao_encontrado", "Nenhum Pix encontrado")
}

/// Handles `GET /v2/pix/{e2eid}`.
pub(super) async fn read(
    State(efi): State<Arc<Efi>>,
    Path(id): Path<String>,
    Account(account): Account,
) -> Result<Json<Value>, ApiError> {
    let state = lock(&efi.state);
    let pix = state.pix.get(&id).filter(|pix| pix.account == account);
    Ok(Json(pix.ok_or_else(absent)?.json()))
}

/// Handles `GET /v2/pix?inicio=&fim=`.
pub(super) async fn list(
    State(efi): State<Arc<Efi>>,
    Account(account): Account,
    listing: Listing,
) -> Result<Json<Value>, ApiError> {
    let window = listing.window("PixConsultaInvalida")?;
    let is_wanted = |pix: &&Pix| {
        let document = |kind: &str| {
            let payer = pix.payer.as_ref().filter(|(has, _)| *has == kind);
            payer.map_or("", |(_, document)| document.as_str())
        };
        pix.account == account
            && window.contains(pix.at)
            && listing.admits("txid", pix.txid.as_deref().unwrap_or_default())
            && listing.admits_flag("txIdPresente", pix.txid.is_some())
            && listing.admits_flag("devolucaoPresente", !pix.returns.is_empty())
            && listing.admits("cpf", document("cpf"))
            && listing.admits("cnpj", document("cnpj"))
    };
    let state = lock(&efi.state);
    let mut found: Vec<&Pix> = state.pix.values().filter(is_wanted).collect();
    found.sort_by_key(|pix| pix.at);
    let found: Vec<_> = found.into_iter().map(Pix::json).collect();
    Ok(Json(window.page("pix", &found)))
}
