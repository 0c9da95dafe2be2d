//! Efí's API Pix. `GATEWAYS.md` §2.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Body,
    http::{Response, StatusCode},
    response::IntoResponse,
    routing::{get, post, put},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{
    control::{Action, Book, Held},
    notify::{self, Proof, Telling},
    sim::{Sim, decimal, lock},
};

mod auth;
mod cob;
mod pix;
mod webhook;

/// Between tries: 5, 10, 20 … 1280 minutes.
const SCHEDULE_S: [u64; 9] = [300, 600, 1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 76_800];
/// What homologation pays by itself, in centavos.
const SMALL: i64 = 1_000;

pub(crate) struct Efi {
    pub sim: Arc<Sim>,
    pub state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub tokens: HashMap<String, (String, DateTime<Utc>)>,
    /// By account and `txid`.
    pub cobs: BTreeMap<(String, String), Cob>,
    /// By account and Pix key.
    pub webhooks: BTreeMap<(String, String), (String, DateTime<Utc>)>,
    pub locations: u64,
}

/// An immediate charge.
#[derive(Clone)]
pub(crate) struct Cob {
    pub account: String,
    pub txid: String,
    pub revisions: u32,
    pub status: &'static str,
    pub created_at: DateTime<Utc>,
    pub expires_in: i64,
    pub amount: i64,
    pub key: String,
    /// `devedor`, `solicitacaoPagador`, `infoAdicionais`, as they were sent.
    pub echoed: serde_json::Map<String, Value>,
    pub location_id: u64,
    pub location: String,
    pub received: Vec<Pix>,
    pub service_us: u64,
}

/// A Pix that arrived.
#[derive(Clone)]
pub(crate) struct Pix {
    pub end_to_end_id: String,
    pub amount: i64,
    pub at: DateTime<Utc>,
}

pub(crate) fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// An error in Efí's own shape.
pub(crate) fn wrong(status: StatusCode, name: &str, message: &str) -> Response<Body> {
    (status, Json(json!({ "nome": name, "mensagem": message }))).into_response()
}

pub(crate) fn router(efi: Arc<Efi>) -> Router {
    Router::new()
        .route("/oauth/token", post(auth::token))
        .route("/v2/cob", get(cob::list))
        .route(
            "/v2/cob/{txid}",
            put(cob::create).patch(cob::change).get(cob::read),
        )
        .route("/v2/pix", get(pix::list))
        .route("/v2/pix/{e2eid}", get(pix::read))
        .route("/v2/gn/saldo", get(pix::balance))
        .route(
            "/v2/webhook/{key}",
            put(webhook::register)
                .get(webhook::read)
                .delete(webhook::remove),
        )
        .with_state(efi)
}

impl Efi {
    pub(crate) fn new(sim: Arc<Sim>) -> Self {
        Self {
            sim,
            state: Mutex::default(),
        }
    }

    /// Pays by itself what is to be paid by itself.
    pub(crate) fn expect_payment(self: &Arc<Self>, cob: &Cob) {
        let settings = self.sim.settings();
        let small = settings.auto_pay_small_ms.filter(|_| cob.amount <= SMALL);
        if let Some(after_ms) = settings.auto_pay_ms.or(small) {
            let (efi, txid) = (self.clone(), cob.txid.clone());
            self.sim.later(after_ms, async move {
                let _ = efi.act(&txid, Action::Pay(None), true);
            });
        }
    }

    /// Tells the address of the charge's key, to which `/pix` is appended.
    fn tell(&self, cob: &Cob, pix: &Pix) {
        let registered = lock(&self.state)
            .webhooks
            .get(&(cob.account.clone(), cob.key.clone()))
            .cloned();
        let Some((url, _)) = registered else { return };
        let mut told = cob.received_json(pix);
        told["gnExtras"] = json!({
            "tarifa": decimal(pix.amount * 119 / 10_000),
            "pagador": { "nome": "PAGADOR SIMULADO", "cpf": "***.456.789-**", "codigoBanco": "260" },
        });
        let telling = Telling {
            url: format!("{url}/pix"),
            event: "pix".to_owned(),
            body: json!({ "pix": [told] }).to_string(),
            proof: Proof::None,
            schedule_s: &SCHEDULE_S,
            exactly_200: false,
            order: None,
        };
        notify::tell(&self.sim, telling);
    }
}

impl Cob {
    fn is_payable(&self, now: DateTime<Utc>) -> bool {
        self.status == "ATIVA" && self.created_at + TimeDelta::seconds(self.expires_in) > now
    }

    fn received_json(&self, pix: &Pix) -> Value {
        json!({
            "endToEndId": pix.end_to_end_id,
            "txid": self.txid,
            "valor": decimal(pix.amount),
            "chave": self.key,
            "horario": instant(pix.at),
            "infoPagador": "pago no simulador",
        })
    }

    pub(crate) fn json(&self) -> Value {
        let amount = decimal(self.amount);
        let mut json = json!({
            "calendario": { "criacao": instant(self.created_at), "expiracao": self.expires_in },
            "txid": self.txid,
            "revisao": self.revisions,
            "loc": { "id": self.location_id, "location": self.location, "tipoCob": "cob", "criacao": instant(self.created_at) },
            "location": self.location,
            "status": self.status,
            "valor": { "original": amount },
            "chave": self.key,
            "pixCopiaECola": crate::br_code::dynamic(&self.location, &amount),
        });
        for (name, value) in &self.echoed {
            json[name] = value.clone();
        }
        if !self.received.is_empty() {
            let received: Vec<_> = self
                .received
                .iter()
                .map(|pix| {
                    let mut json = self.received_json(pix);
                    json["devolucoes"] = json!([]);
                    json
                })
                .collect();
            json["pix"] = Value::Array(received);
        }
        json
    }
}

impl Book for Efi {
    fn sim(&self) -> &Arc<Sim> {
        &self.sim
    }

    fn charges(&self) -> Vec<Held> {
        let now = self.sim.now();
        let state = lock(&self.state);
        let held = state.cobs.values().map(|cob| Held {
            id: cob.txid.clone(),
            reference: cob.txid.clone(),
            description: cob
                .echoed
                .get("solicitacaoPagador")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            method: "pix",
            status: cob.status.to_owned(),
            amount: cob.amount,
            payable: cob.is_payable(now),
            paid: !cob.received.is_empty(),
            refunded: 0,
            disputed: false,
            created_at: cob.created_at,
            service_us: cob.service_us,
            account: cob.account.clone(),
        });
        held.collect()
    }

    fn act(&self, charge: &str, action: Action, notify: bool) -> Result<(), String> {
        let id = format!(
            "E12345678{}{}",
            self.sim.now().format("%Y%m%d%H%M"),
            self.sim.random(11)
        );
        let now = self.sim.now();
        let mut state = lock(&self.state);
        let cob = state
            .cobs
            .values_mut()
            .find(|cob| cob.txid == charge)
            .ok_or("there is no such charge")?;
        match action {
            // a payment that was under way may settle after expiry or removal: the control decides
            Action::Pay(amount) => {
                let pix = Pix {
                    end_to_end_id: id,
                    amount: amount.unwrap_or(cob.amount),
                    at: now,
                };
                cob.received.push(pix.clone());
                cob.status = "CONCLUIDA";
                let cob = cob.clone();
                drop(state);
                if notify {
                    self.tell(&cob, &pix);
                }
            }
            // it stays ATIVA: there is no status for that, and nobody is told
            Action::Expire => cob.expires_in = (now - cob.created_at).num_seconds().max(0),
            Action::Cancel => cob.status = "REMOVIDA_PELO_PSP",
            other => return Err(format!("Efí does not simulate {other:?}")),
        }
        Ok(())
    }

    fn served(&self, reference: &str, us: u64) {
        if let Some(cob) = lock(&self.state)
            .cobs
            .values_mut()
            .find(|cob| cob.txid == reference)
        {
            cob.service_us += us;
        }
    }

    fn refusal(&self, status: StatusCode) -> Response<Body> {
        let name = match status.as_u16() {
            401 => "nao_autorizado",
            403 => "AcessoNegado",
            400 => "valor_invalido",
            _ => "erro_aplicacao",
        };
        wrong(status, name, "Falha injetada no simulador")
    }

    fn reset(&self) {
        *lock(&self.state) = State::default();
    }
}
