//! Endpoints `/v2/loc`: URLs from which payers' banks read charges. A location may outlive its charge.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{
    Efi, State as Held,
    auth::Account,
    charge::{ACTIVE, Location},
    error::ApiError,
    listing::Listing,
    request::Sent,
};
use crate::{
    br_code, qr_code,
    sim::{decimal, lock},
};

const KIND: &str = "PayloadLocationOperacaoInvalida";
/// Number of letters and digits after the host.
const TOKEN: usize = 32;

/// Creates a location and returns its id.
pub(super) fn make(
    efi: &Efi,
    state: &mut Held,
    (account, kind): (&str, &'static str),
    txid: Option<&str>,
) -> u64 {
    let id = state.next();
    let folder = if kind == "cobv" { "v2/cobv" } else { "v2" };
    let token = efi.sim.random(TOKEN);
    let location = Location {
        account: account.to_owned(),
        id,
        url: format!("qrcodes-pix.gerencianet.com.br/{folder}/{token}"),
        kind,
        created_at: efi.sim.now(),
        txid: txid.map(ToOwned::to_owned),
    };
    state.locations.insert(id, location);
    id
}

/// Assigns a free location to a charge of the same kind.
pub(super) fn take(
    state: &mut Held,
    (account, id): (&str, u64),
    (txid, kind): (&str, &'static str),
) -> Result<u64, ApiError> {
    let location = state.locations.get_mut(&id);
    let location = location.filter(|location| location.account == account);
    let location = location.ok_or_else(absent)?;
    if location.kind != kind || location.txid.is_some() {
        return Err(ApiError::invalid(KIND, "loc.id"));
    }
    location.txid = Some(txid.to_owned());
    Ok(id)
}

/// Removes the charge from a location.
pub(super) fn free(state: &mut Held, id: Option<u64>) {
    if let Some(location) = id.and_then(|id| state.locations.get_mut(&id)) {
        location.txid = None;
    }
}

fn absent() -> ApiError {
    let message = "Nenhuma location encontrada para o id informado";
    ApiError::absent("location_nao_encontrada", message)
}

fn find<'a>(state: &'a Held, account: &str, id: &str) -> Result<&'a Location, ApiError> {
    let location = id.parse().ok().and_then(|id: u64| state.locations.get(&id));
    location
        .filter(|location| location.account == account)
        .ok_or_else(absent)
}

/// Handles `POST /v2/loc`.
pub(super) async fn create(
    State(efi): State<Arc<Efi>>,
    Account(account): Account,
    Sent(body): Sent,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let kind = match body["tipoCob"].as_str() {
        Some("cob") => "cob",
        Some("cobv") => "cobv",
        Some(_) => return Err(ApiError::invalid(KIND, "tipoCob")),
        None => return Err(ApiError::missing(KIND, "tipoCob")),
    };
    let mut state = lock(&efi.state);
    let id = make(&efi, &mut state, (&account, kind), None);
    let json = state.locations.get(&id).map(Location::json);
    Ok((StatusCode::CREATED, Json(json.unwrap_or_default())))
}

/// Handles `GET /v2/loc`.
pub(super) async fn list(
    State(efi): State<Arc<Efi>>,
    Account(account): Account,
    listing: Listing,
) -> Result<Json<Value>, ApiError> {
    let window = listing.window("PayloadLocationConsultaInvalida")?;
    let is_wanted = |location: &&Location| {
        location.account == account
            && window.contains(location.created_at)
            && listing.admits("tipoCob", location.kind)
            && listing.admits_flag("txIdPresente", location.txid.is_some())
    };
    let state = lock(&efi.state);
    let found = state.locations.values().filter(is_wanted);
    let found: Vec<_> = found.map(Location::complete_json).collect();
    Ok(Json(window.page("loc", &found)))
}

/// Handles `GET /v2/loc/{id}`.
pub(super) async fn read(
    State(efi): State<Arc<Efi>>,
    Path(id): Path<String>,
    Account(account): Account,
) -> Result<Json<Value>, ApiError> {
    let state = lock(&efi.state);
    find(&state, &account, &id).map(|location| Json(location.complete_json()))
}

/// Handles `GET /v2/loc/{id}/qrcode`, an Efí extension.
pub(super) async fn picture(
    State(efi): State<Arc<Efi>>,
    Path(id): Path<String>,
    Account(account): Account,
) -> Result<Json<Value>, ApiError> {
    let state = lock(&efi.state);
    let location = find(&state, &account, &id)?;
    let txid = location.txid.clone().ok_or_else(absent)?;
    let charge = state.charges.get(&(txid, account)).ok_or_else(absent)?;
    let code = br_code::dynamic(&location.url, &decimal(charge.amount));
    let token = location.url.rsplit('/').next().unwrap_or_default();
    let broken = |_| {
        let name = ("erro_aplicacao", "ErroInternoDoServidor");
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            name,
            "Falha ao desenhar o QR Code",
        )
    };
    Ok(Json(json!({
        "qrcode": code,
        "imagemQrcode": qr_code::png(&code).map_err(broken)?,
        "linkVisualizacao": format!("https://pix.gerencianet.com.br/cob/pagar/{token}"),
    })))
}

/// Handles `DELETE /v2/loc/{id}/txid`: the charge remains, but payers' banks can no longer read it.
pub(super) async fn unlink(
    State(efi): State<Arc<Efi>>,
    Path(id): Path<String>,
    Account(account): Account,
) -> Result<Json<Value>, ApiError> {
    let mut state = lock(&efi.state);
    let location = find(&state, &account, &id)?.clone();
    let txid = location.txid.clone().ok_or_else(absent)?;
    let charge = state.charges.get(&(txid.clone(), account.clone()));
    let before = charge.map(|charge| charge.json(&state)).unwrap_or_default();
    if let Some(charge) = state.charges.get_mut(&(txid, account))
        && charge.status == ACTIVE
    {
        charge.former.push(before);
        charge.revision += 1;
        charge.location = None;
    }
    free(&mut state, Some(location.id));
    Ok(Json(location.json()))
}
