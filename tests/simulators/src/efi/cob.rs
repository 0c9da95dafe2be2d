//! Immediate charges.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{Response, StatusCode},
    response::IntoResponse,
};
use serde_json::{Value, json};

use super::{Cob, Efi, auth::Account, instant, wrong};
use crate::{listener::About, sim::lock};

/// BACEN's default.
const A_DAY_S: i64 = 86_400;
const MAX_MESSAGE: usize = 140;

/// `PUT /v2/cob/{txid}`.
pub(super) async fn create(
    State(efi): State<Arc<Efi>>,
    Path(txid): Path<String>,
    Account(account): Account,
    body: Bytes,
) -> Response<Body> {
    let body: Value = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(_) => {
            return wrong(
                StatusCode::BAD_REQUEST,
                "json_invalido",
                "O corpo não é JSON",
            );
        }
    };
    let mut cob = match read_request(&efi, &account, &txid, &body) {
        Ok(cob) => cob,
        Err((name, message)) => return wrong(StatusCode::BAD_REQUEST, name, &message),
    };
    let mut state = lock(&efi.state);
    if state.cobs.contains_key(&(account.clone(), txid.clone())) {
        let message = "Campo txid informado já foi utilizado em outra cobrança";
        return about(
            &txid,
            wrong(StatusCode::CONFLICT, "txid_duplicado", message),
        );
    }
    state.locations += 1;
    cob.location_id = state.locations;
    state.cobs.insert((account, txid.clone()), cob.clone());
    drop(state);
    efi.expect_payment(&cob);
    about(
        &txid,
        (StatusCode::CREATED, Json(cob.json())).into_response(),
    )
}

fn about(txid: &str, mut response: Response<Body>) -> Response<Body> {
    response.extensions_mut().insert(About(txid.to_owned()));
    response
}

type Refused = (&'static str, String);

fn read_request(efi: &Efi, account: &str, txid: &str, body: &Value) -> Result<Cob, Refused> {
    let right = (26..=35).contains(&txid.len()) && txid.chars().all(|c| c.is_ascii_alphanumeric());
    if !right {
        return Err(("valor_invalido", "Campo txid inválido".to_owned()));
    }
    let missing = |path: &str| ("json_invalido", format!("{path} é obrigatório"));
    let amount = body["valor"]["original"]
        .as_str()
        .ok_or_else(|| missing(".body.valor.original"))?;
    let amount =
        centavos(amount).ok_or(("valor_invalido", "Campo valor.original inválido".to_owned()))?;
    let key = body["chave"]
        .as_str()
        .filter(|key| !key.is_empty())
        .ok_or_else(|| missing(".body.chave"))?;
    let calendar = body
        .get("calendario")
        .ok_or_else(|| missing(".body.calendario"))?;
    let expires_in = match calendar.get("expiracao") {
        None => A_DAY_S,
        Some(value) => {
            let seconds = value.as_i64().filter(|seconds| *seconds > 0);
            seconds.ok_or((
                "valor_invalido",
                "Campo calendario.expiracao inválido".to_owned(),
            ))?
        }
    };
    check_payer(body)?;
    if body["solicitacaoPagador"]
        .as_str()
        .is_some_and(|text| text.chars().count() > MAX_MESSAGE)
    {
        return Err((
            "valor_invalido",
            "Campo solicitacaoPagador inválido".to_owned(),
        ));
    }
    let echoed = ["devedor", "solicitacaoPagador", "infoAdicionais"];
    let echoed = echoed
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), body.get(*name)?.clone())));
    Ok(Cob {
        account: account.to_owned(),
        txid: txid.to_owned(),
        revisions: 0,
        status: "ATIVA",
        created_at: efi.sim.now(),
        expires_in,
        amount,
        key: key.to_owned(),
        echoed: echoed.collect(),
        location_id: 0,
        location: format!("qrcodes-pix.gerencianet.com.br/v2/{}", efi.sim.random(32)),
        received: Vec::new(),
        service_us: 0,
    })
}

/// `devedor` may be left out; else a name comes with exactly one document.
fn check_payer(body: &Value) -> Result<(), Refused> {
    let Some(payer) = body.get("devedor") else {
        return Ok(());
    };
    let (cpf, cnpj) = (payer["cpf"].as_str(), payer["cnpj"].as_str());
    let document = match (cpf, cnpj) {
        (Some(cpf), None) => cpf.len() == 11 && cpf.chars().all(|c| c.is_ascii_digit()),
        (None, Some(cnpj)) => {
            cnpj.len() == 14
                && cnpj
                    .chars()
                    .all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
        }
        _ => false,
    };
    if document && payer["nome"].as_str().is_some_and(|name| !name.is_empty()) {
        Ok(())
    } else {
        Err(("valor_invalido", "Campo devedor inválido".to_owned()))
    }
}

/// `^\d{1,10}\.\d{2}$`, and not zero.
fn centavos(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if !digits(whole) || whole.len() > 10 || part.len() != 2 || !digits(part) {
        return None;
    }
    format!("{whole}{part}")
        .parse()
        .ok()
        .filter(|amount| *amount > 0)
}

/// `PATCH /v2/cob/{txid}`: removal, and changes of amount or message.
pub(super) async fn change(
    State(efi): State<Arc<Efi>>,
    Path(txid): Path<String>,
    Account(account): Account,
    Json(body): Json<Value>,
) -> Response<Body> {
    let mut state = lock(&efi.state);
    let Some(cob) = state.cobs.get_mut(&(account, txid)) else {
        return absent();
    };
    if cob.status != "ATIVA" {
        return wrong(
            StatusCode::BAD_REQUEST,
            "status_cobranca_invalido",
            "A cobrança não está mais ativa",
        );
    }
    match body.get("status").map(Value::as_str) {
        Some(Some("REMOVIDA_PELO_USUARIO_RECEBEDOR")) => {
            cob.status = "REMOVIDA_PELO_USUARIO_RECEBEDOR"
        }
        Some(_) => {
            return wrong(
                StatusCode::BAD_REQUEST,
                "valor_invalido",
                "Campo status inválido",
            );
        }
        None => {}
    }
    if let Some(amount) = body["valor"]["original"].as_str() {
        match centavos(amount) {
            Some(amount) => cob.amount = amount,
            None => {
                return wrong(
                    StatusCode::BAD_REQUEST,
                    "valor_invalido",
                    "Campo valor.original inválido",
                );
            }
        }
    }
    cob.revisions += 1;
    Json(cob.json()).into_response()
}

/// `GET /v2/cob/{txid}`.
pub(super) async fn read(
    State(efi): State<Arc<Efi>>,
    Path(txid): Path<String>,
    Account(account): Account,
) -> Response<Body> {
    let state = lock(&efi.state);
    match state.cobs.get(&(account, txid)) {
        Some(cob) => Json(cob.json()).into_response(),
        None => absent(),
    }
}

fn absent() -> Response<Body> {
    wrong(
        StatusCode::NOT_FOUND,
        "cobranca_nao_encontrada",
        "Nenhuma cobrança encontrada para o txid informado",
    )
}

/// `GET /v2/cob?inicio=&fim=`.
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
    let state = lock(&efi.state);
    let found: Vec<_> = state
        .cobs
        .values()
        .filter(|cob| {
            cob.account == account
                && instant(cob.created_at) >= *from
                && instant(cob.created_at) <= *to
        })
        .filter(|cob| {
            query
                .get("status")
                .is_none_or(|status| status == cob.status)
        })
        .map(Cob::json)
        .collect();
    Json(json!({ "parametros": parameters(from, to, found.len()), "cobs": found })).into_response()
}

pub(super) fn parameters(from: &str, to: &str, found: usize) -> Value {
    json!({
        "inicio": from, "fim": to,
        "paginacao": { "paginaAtual": 0, "itensPorPagina": 100, "quantidadeDePaginas": 1, "quantidadeTotalDeItens": found },
    })
}
