//! Charge: immediate (`cob`) or with a due date (`cobv`).

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::America::Sao_Paulo;
use serde_json::{Map, Value, json};

use super::{State, amounts::Rules, instant};
use crate::{br_code, sim::decimal};

pub(crate) const ACTIVE: &str = "ATIVA";
pub(crate) const PAID: &str = "CONCLUIDA";
pub(crate) const REMOVED: &str = "REMOVIDA_PELO_USUARIO_RECEBEDOR";
pub(crate) const REMOVED_BY_BANK: &str = "REMOVIDA_PELO_PSP";

/// `txid` and account.
pub(crate) type Key = (String, String);

#[derive(Clone)]
pub(crate) struct Charge {
    pub account: String,
    pub txid: String,
    pub revision: usize,
    /// JSON of the charge before each revision.
    pub former: Vec<Value>,
    pub status: &'static str,
    pub created_at: DateTime<Utc>,
    pub terms: Terms,
    pub amount: i64,
    pub key: String,
    /// Creation request, with later changes applied.
    pub sent: Map<String, Value>,
    pub location: Option<u64>,
    /// The `endToEndId`s of the Pix that paid the charge.
    pub received: Vec<String>,
    pub service_us: u64,
}

/// Payable period and price rules of a charge.
#[derive(Clone)]
pub(crate) enum Terms {
    Immediate { expires_in: i64 },
    Due(Due),
}

#[derive(Clone)]
pub(crate) struct Due {
    pub date: NaiveDate,
    /// Number of days after the due date in which the charge is payable.
    pub valid_days: u64,
    pub rules: Rules,
}

/// URL from which a payer's bank reads the charge.
#[derive(Clone)]
pub(crate) struct Location {
    pub account: String,
    pub id: u64,
    /// URL without a scheme.
    pub url: String,
    /// `cob` or `cobv`.
    pub kind: &'static str,
    pub created_at: DateTime<Utc>,
    pub txid: Option<String>,
}

/// Returns the date in São Paulo.
pub(crate) fn day(at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&Sao_Paulo).date_naive()
}

impl Location {
    /// Returns the location without its charge, as it appears within a charge.
    pub(crate) fn json(&self) -> Value {
        json!({ "id": self.id, "location": self.url, "tipoCob": self.kind, "criacao": instant(self.created_at) })
    }

    pub(crate) fn complete_json(&self) -> Value {
        let mut json = self.json();
        if let Some(txid) = &self.txid {
            json["txid"] = txid.as_str().into();
        }
        json
    }
}

impl Terms {
    /// Returns `cob` or `cobv`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Immediate { .. } => "cob",
            Self::Due(_) => "cobv",
        }
    }
}

impl Charge {
    pub(crate) fn map_key(&self) -> Key {
        (self.txid.clone(), self.account.clone())
    }

    pub(crate) fn is_payable(&self, now: DateTime<Utc>) -> bool {
        let in_time = match &self.terms {
            Terms::Immediate { expires_in } => {
                self.created_at + TimeDelta::seconds(*expires_in) > now
            }
            Terms::Due(due) => due.date + Days::new(due.valid_days) >= day(now),
        };
        self.status == ACTIVE && self.location.is_some() && in_time
    }

    /// Returns the amount due at a time, and its parts unless it is the original amount.
    pub(crate) fn amount_due(&self, at: DateTime<Utc>) -> (i64, Option<Value>) {
        match &self.terms {
            Terms::Immediate { .. } => (self.amount, None),
            Terms::Due(due) => {
                let amount_due = due.rules.amount_due(self.amount, due.date, day(at));
                (amount_due.total(), amount_due.json())
            }
        }
    }

    fn calendar(&self) -> Value {
        let created = instant(self.created_at);
        match &self.terms {
            Terms::Immediate { expires_in } => {
                json!({ "criacao": created, "expiracao": expires_in })
            }
            Terms::Due(due) => json!({
                "criacao": created, "dataDeVencimento": due.date.to_string(), "validadeAposVencimento": due.valid_days,
            }),
        }
    }

    /// Returns the charge without its payments, as in responses to creation and change.
    pub(crate) fn json(&self, state: &State) -> Value {
        let mut json = json!({
            "calendario": self.calendar(),
            "txid": self.txid,
            "revisao": self.revision,
            "status": self.status,
            "valor": self.sent.get("valor"),
            "chave": self.key,
        });
        for name in ["devedor", "solicitacaoPagador", "infoAdicionais"] {
            if let Some(value) = self.sent.get(name) {
                json[name] = value.clone();
            }
        }
        if let Some(location) = self.location.and_then(|id| state.locations.get(&id)) {
            json["loc"] = location.json();
            json["location"] = location.url.as_str().into();
            let amount = decimal(self.amount);
            json["pixCopiaECola"] = br_code::dynamic(&location.url, &amount).into();
        }
        if matches!(self.terms, Terms::Due(_)) {
            json["recebedor"] = json!({
                "cnpj": "11222333000181", "nome": "LOJA SIMULADA", "logradouro": "Av. JK, 909", "cidade": "Ouro Preto",
                "uf": "MG", "cep": "35400000",
            });
        }
        json
    }

    /// Returns the charge with its payments, as in responses to reads.
    pub(crate) fn complete_json(&self, state: &State) -> Value {
        let mut json = self.json(state);
        if !self.received.is_empty() {
            let received = self.received.iter().filter_map(|id| state.pix.get(id));
            json["pix"] = received.map(super::pix::Pix::json).collect();
        }
        json
    }
}
