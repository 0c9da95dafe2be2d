//! Pix received, and the balance.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{Response, StatusCode},
    response::IntoResponse,
};
use serde_json::{Value, json};

use super::{Efi, auth::Account, cob::parameters, instant, wrong};
use crate::sim::{decimal, lock};

/// `GET /v2/pix/{e2eid}`.
pub(super) async fn read(
    State(efi): State<Arc<Efi>>,
    Path(id): Path<String>,
    Account(account): Account,
) -> Response<Body> {
    match received(&efi, &account)
        .into_iter()
        .find(|pix| pix["endToEndId"] == id)
    {
        Some(pix) => Json(pix).into_response(),
        None => wrong(
            StatusCode::NOT_FOUND,
            "pix_nao_encontrado",
            "Nenhum Pix encontrado",
        ),
    }
}

/// `GET /v2/pix?inicio=&fim=`.
pub(super) async fn list(
    State(efi): State<Arc<Efi>>,
    Query(query): Query<HashMap<String, String>>,
    Account(account): Account,
) -> Response<Body> {
    let (Some(from), Some(to)) = (query.get("inicio"), query.get("fim")) else {
        return wrong(
            StatusCode::BAD_REQUEST,
            "json_invalido",
            "inicio e fim são obrigatórios",
        );
    };
    let mut found = received(&efi, &account);
    found.retain(|pix| {
        let at = pix["horario"].as_str().unwrap_or_default();
        at >= from.as_str()
            && at <= to.as_str()
            && query.get("txid").is_none_or(|txid| pix["txid"] == *txid)
    });
    Json(json!({ "parametros": parameters(from, to, found.len()), "pix": found })).into_response()
}

fn received(efi: &Efi, account: &str) -> Vec<Value> {
    let state = lock(&efi.state);
    let cobs = state.cobs.values().filter(|cob| cob.account == account);
    let pix = cobs.flat_map(|cob| {
        cob.received.iter().map(|pix| {
            json!({
                "endToEndId": pix.end_to_end_id, "txid": cob.txid, "valor": decimal(pix.amount), "chave": cob.key,
                "horario": instant(pix.at), "infoPagador": "pago no simulador", "devolucoes": [],
            })
        })
    });
    pix.collect()
}

/// `GET /v2/gn/saldo`.
pub(super) async fn balance(
    State(efi): State<Arc<Efi>>,
    Account(account): Account,
) -> Response<Body> {
    let state = lock(&efi.state);
    let cobs = state.cobs.values().filter(|cob| cob.account == account);
    let total: i64 = cobs
        .flat_map(|cob| &cob.received)
        .map(|pix| pix.amount)
        .sum();
    Json(json!({ "saldo": decimal(total) })).into_response()
}
