//! Control endpoints that only Efí has.

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Efi, Send, instant,
    pix::{Pix, settlement_id},
};
use crate::sim::{decimal, lock};

type ControlError = (StatusCode, String);

pub(super) fn control(efi: Arc<Efi>) -> Router {
    Router::new()
        .route("/_sim/efi/pix", post(receive))
        .route("/_sim/efi/sends", post(send))
        .with_state(efi)
}

#[derive(Deserialize)]
struct Arrivals {
    pix: Vec<Arrival>,
    #[serde(default = "yes")]
    notify: bool,
}

fn yes() -> bool {
    true
}

/// Pix that pays a charge, or that arrives at an account's key without a charge.
#[derive(Deserialize)]
struct Arrival {
    charge: Option<String>,
    account: Option<String>,
    key: Option<String>,
    amount: Option<i64>,
}

/// Handles `POST /_sim/efi/pix`: several Pix arrive at once, with one notification per key.
async fn receive(
    State(efi): State<Arc<Efi>>,
    Json(arrivals): Json<Arrivals>,
) -> Result<Json<Value>, ControlError> {
    let mut state = lock(&efi.state);
    let mut arrived = Vec::new();
    for arrival in arrivals.pix {
        let pix = match (
            &arrival.charge,
            arrival.account,
            arrival.key,
            arrival.amount,
        ) {
            (Some(charge), _, _, amount) => state
                .key(charge)
                .and_then(|key| efi.receive(&mut state, &key, amount)),
            (None, Some(account), Some(key), Some(amount)) => {
                Some(transfer(&efi, &mut state, (account, key), amount))
            }
            _ => None,
        };
        let why = "a Pix names a charge that exists, or account, key and amount\n";
        arrived.push(pix.ok_or((StatusCode::UNPROCESSABLE_ENTITY, why.to_owned()))?);
    }
    drop(state);
    if arrivals.notify {
        efi.notify(&arrived, "pix");
    }
    let ids: Vec<_> = arrived.iter().map(|pix| &pix.end_to_end_id).collect();
    Ok(Json(json!({ "endToEndIds": ids })))
}

/// Creates a Pix without a `txid`.
fn transfer(
    efi: &Efi,
    state: &mut super::State,
    (account, key): (String, String),
    amount: i64,
) -> Pix {
    let pix = Pix {
        account,
        end_to_end_id: settlement_id(efi, 'E'),
        txid: None,
        key,
        amount,
        parts: None,
        at: efi.sim.now(),
        payer: None,
        returns: Vec::new(),
    };
    efi.credit(state, &pix.account, amount);
    state.pix.insert(pix.end_to_end_id.clone(), pix.clone());
    pix
}

#[derive(Deserialize)]
struct Sending {
    account: String,
    key: String,
    amount: i64,
}

/// Handles `POST /_sim/efi/sends`: the account sends a Pix, which reduces its balance and is notified at the webhook of the key.
async fn send(
    State(efi): State<Arc<Efi>>,
    Json(sending): Json<Sending>,
) -> Result<Json<Value>, ControlError> {
    let Sending {
        account,
        key,
        amount,
    } = sending;
    let id = settlement_id(&efi, 'E');
    let reported = json!({
        "endToEndId": id, "chave": key, "tipo": "SOLICITACAO", "status": "REALIZADO", "valor": decimal(amount),
        "horario": instant(efi.sim.now()), "gnExtras": { "idEnvio": efi.sim.random(32) },
    });
    let send = Send {
        account: account.clone(),
        key: key.clone(),
        reported: reported.clone(),
    };
    let mut state = lock(&efi.state);
    efi.credit(&mut state, &account, -amount);
    state.sends.insert(id.clone(), send);
    drop(state);
    efi.send((&account, &key), &[reported], ("envio", &[]));
    Ok(Json(json!({ "endToEndId": id })))
}
