//! Endpoints `/v2/cob` and `/v2/cobv`.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{Response, StatusCode, Uri},
    response::IntoResponse,
};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    Efi,
    auth::Account,
    charge::{ACTIVE, Charge, REMOVED, Terms},
    error::ApiError,
    listing::Listing,
    location,
    request::{Asked, Sent, asked, check_date, is_txid, kind_of_error, merged},
};
use crate::{listener::About, sim::lock};

/// Number of letters and digits of a `txid` that Efí generates.
const OWN_TXID: usize = 32;

/// Returns true if the path is that of charges with a due date.
fn is_due(uri: &Uri) -> bool {
    uri.path().starts_with("/v2/cobv")
}

fn about(txid: &str, mut response: Response<Body>) -> Response<Body> {
    response.extensions_mut().insert(About(txid.to_owned()));
    response
}

/// Handles `PUT /v2/cob/{txid}` and `PUT /v2/cobv/{txid}`.
pub(super) async fn create(
    State(efi): State<Arc<Efi>>,
    Path(txid): Path<String>,
    uri: Uri,
    Account(account): Account,
    Sent(body): Sent,
) -> Response<Body> {
    let made = make(&efi, (account, txid.clone()), body, is_due(&uri));
    about(&txid, made.into_response())
}

/// Handles `POST /v2/cob`, for which Efí generates the `txid`.
pub(super) async fn create_unnamed(
    State(efi): State<Arc<Efi>>,
    Account(account): Account,
    Sent(body): Sent,
) -> Response<Body> {
    let txid = efi.sim.random(OWN_TXID);
    let made = make(&efi, (account, txid.clone()), body, false);
    about(&txid, made.into_response())
}

type Made = Result<(StatusCode, Json<Value>), ApiError>;

fn make(efi: &Arc<Efi>, (account, txid): (String, String), body: Value, due: bool) -> Made {
    let kind = kind_of_error(due);
    if !is_txid(&txid) {
        return Err(ApiError::invalid(kind, "txid"));
    }
    let Asked {
        terms,
        amount,
        key,
        location,
        sent,
    } = asked(efi, body, due)?;
    check_date(&terms, efi.sim.now())?;
    let mut state = lock(&efi.state);
    if state.charges.contains_key(&(txid.clone(), account.clone())) {
        let message = "Campo txid informado já foi utilizado em outra cobrança";
        return Err(ApiError::duplicate("txid_duplicado", kind, message));
    }
    let location = match location {
        Some(id) => location::take(&mut state, (&account, id), (&txid, terms.kind()))?,
        None => location::make(efi, &mut state, (&account, terms.kind()), Some(&txid)),
    };
    let charge = Charge {
        account,
        txid,
        revision: 0,
        former: Vec::new(),
        status: ACTIVE,
        created_at: efi.sim.now(),
        terms,
        amount,
        key,
        sent,
        location: Some(location),
        received: Vec::new(),
        service_us: 0,
    };
    let json = charge.json(&state);
    efi.expect_payment(&mut state, &charge);
    state.charges.insert(charge.map_key(), charge);
    Ok((StatusCode::CREATED, Json(json)))
}

fn absent() -> ApiError {
    let message = "Nenhuma cobrança encontrada para o txid informado";
    ApiError::absent("cobranca_nao_encontrada", message)
}

/// Handles `PATCH`: removes the charge, or changes fields of its request.
pub(super) async fn change(
    State(efi): State<Arc<Efi>>,
    Path(txid): Path<String>,
    uri: Uri,
    Account(account): Account,
    Sent(body): Sent,
) -> Response<Body> {
    let changed = apply(&efi, (txid.clone(), account), &body, is_due(&uri));
    about(&txid, changed.map(Json).into_response())
}

fn apply(efi: &Efi, id: (String, String), body: &Value, due: bool) -> Result<Value, ApiError> {
    let kind = kind_of_error(due);
    let found = |charge: &&Charge| matches!(charge.terms, Terms::Due(_)) == due;
    let charge = lock(&efi.state).charges.get(&id).filter(found).cloned();
    let charge = charge.ok_or_else(absent)?;
    check_active(&charge, kind)?;
    let sent = charge.sent;
    let removal = match body.get("status").map(Value::as_str) {
        None => false,
        Some(Some(status)) if status == REMOVED => true,
        Some(_) => return Err(ApiError::invalid(kind, "status")),
    };
    let asked = asked(efi, merged(&sent, body), due)?;
    if body.get("calendario").is_some() {
        check_date(&asked.terms, efi.sim.now())?;
    }
    let mut state = lock(&efi.state);
    let charge = state.charges.get(&id).cloned().ok_or_else(absent)?;
    check_active(&charge, kind)?;
    let location = match asked.location {
        Some(wanted) if body.get("loc").is_some() && charge.location != Some(wanted) => {
            let place = (charge.txid.as_str(), charge.terms.kind());
            let taken = location::take(&mut state, (&charge.account, wanted), place)?;
            location::free(&mut state, charge.location);
            Some(taken)
        }
        _ => charge.location,
    };
    let before = charge.json(&state);
    let mut changed = Charge {
        terms: asked.terms,
        amount: asked.amount,
        key: asked.key,
        sent: asked.sent,
        location,
        revision: charge.revision + 1,
        ..charge
    };
    changed.former.push(before);
    if removal {
        changed.status = REMOVED;
    }
    let json = changed.json(&state);
    state.charges.insert(id, changed);
    Ok(json)
}

fn check_active(charge: &Charge, kind: &'static str) -> Result<(), ApiError> {
    if charge.status == ACTIVE {
        return Ok(());
    }
    let message = "A cobrança não está mais ativa";
    Err(ApiError::bad("status_cobranca_invalido", kind, message))
}

/// Handles `GET /v2/cob/{txid}` and `GET /v2/cobv/{txid}`, optionally for one revision.
pub(super) async fn read(
    State(efi): State<Arc<Efi>>,
    Path(txid): Path<String>,
    uri: Uri,
    Account(account): Account,
    listing: Listing,
) -> Response<Body> {
    let due = is_due(&uri);
    let found = find(
        &efi,
        &(txid.clone(), account),
        (due, listing.get("revisao")),
    );
    about(&txid, found.map(Json).into_response())
}

fn find(
    efi: &Efi,
    id: &(String, String),
    (due, revision): (bool, Option<&str>),
) -> Result<Value, ApiError> {
    let state = lock(&efi.state);
    let charge = state.charges.get(id).ok_or_else(absent)?;
    if matches!(charge.terms, Terms::Due(_)) != due {
        return Err(absent());
    }
    let Some(revision) = revision else {
        return Ok(charge.complete_json(&state));
    };
    let revision: usize = revision
        .parse()
        .map_err(|_| ApiError::invalid("CobConsultaInvalida", "revisao"))?;
    if revision == charge.revision {
        return Ok(charge.complete_json(&state));
    }
    charge.former.get(revision).cloned().ok_or_else(absent)
}

/// Handles `GET /v2/cob` and `GET /v2/cobv`, in the order of creation.
pub(super) async fn list(
    State(efi): State<Arc<Efi>>,
    uri: Uri,
    Account(account): Account,
    listing: Listing,
) -> Result<Json<Value>, ApiError> {
    let due = is_due(&uri);
    let kind = if due {
        "CobVConsultaInvalida"
    } else {
        "CobConsultaInvalida"
    };
    let window = listing.window(kind)?;
    let state = lock(&efi.state);
    let is_wanted = |charge: &&Charge| {
        charge.account == account
            && matches!(charge.terms, Terms::Due(_)) == due
            && window.contains(charge.created_at)
            && listing.admits("status", charge.status)
            && listing.admits_flag("locationPresente", charge.location.is_some())
            && ["cpf", "cnpj"].iter().all(|name| {
                let document = charge
                    .sent
                    .get("devedor")
                    .and_then(|payer| payer.get(*name));
                listing.admits(name, document.and_then(Value::as_str).unwrap_or_default())
            })
    };
    let mut found: Vec<&Charge> = state.charges.values().filter(is_wanted).collect();
    found.sort_by_key(|charge| -> DateTime<Utc> { charge.created_at });
    let found: Vec<_> = found
        .into_iter()
        .map(|charge| charge.complete_json(&state))
        .collect();
    Ok(Json(window.page("cobs", &found)))
}
