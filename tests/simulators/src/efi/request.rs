//! Reading and validation of requests.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value};

use super::{
    Efi,
    amounts::Rules,
    charge::{Due, Terms, day},
    error::ApiError,
};
use crate::{
    document::{has_letters, is_cnpj, is_cpf},
    sim::lock,
};

/// BACEN's default lifetime of an immediate charge in seconds.
const A_DAY_S: i64 = 86_400;
/// BACEN's default number of payable days after the due date.
const VALID_DAYS: u64 = 30;
const MAX_KEY: usize = 77;
const MAX_NAME: usize = 200;
const MAX_MESSAGE: usize = 140;
const MAX_NOTES: usize = 50;
const MAX_NOTE_NAME: usize = 50;
const MAX_NOTE: usize = 200;

/// JSON of a request body.
pub(super) struct Sent(pub Value);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let wrong = || ApiError::bad("json_invalido", "RequisicaoInvalida", "O corpo não é JSON");
        let bytes = Bytes::from_request(request, state).await;
        let body = serde_json::from_slice(&bytes.map_err(|_| wrong())?);
        body.map(Self).map_err(|_| wrong())
    }
}

/// Validated request of a charge.
pub(super) struct Asked {
    pub terms: Terms,
    pub amount: i64,
    pub key: String,
    pub location: Option<u64>,
    pub sent: Map<String, Value>,
}

/// Returns BACEN's name of the error for an invalid charge.
pub(super) fn kind_of_error(due: bool) -> &'static str {
    if due {
        "CobVOperacaoInvalida"
    } else {
        "CobOperacaoInvalida"
    }
}

/// Parses `^\d{1,10}\.\d{2}$` in hundredths.
pub(super) fn hundredths(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    if !digits(whole) || whole.len() > 10 || part.len() != 2 || !digits(part) {
        return None;
    }
    format!("{whole}{part}").parse().ok()
}

/// Parses a positive amount in centavos.
pub(super) fn centavos(value: &Value) -> Option<i64> {
    hundredths(value.as_str()?).filter(|amount| *amount > 0)
}

pub(super) fn is_txid(text: &str) -> bool {
    (26..=35).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric())
}

/// Reads the body of a `cob`, or of a `cobv` if `due`.
pub(super) fn asked(efi: &Efi, body: Value, due: bool) -> Result<Asked, ApiError> {
    let kind = kind_of_error(due);
    let Value::Object(sent) = body else {
        return Err(ApiError::bad(
            "json_invalido",
            kind,
            "O corpo não é um objeto",
        ));
    };
    let field = |name: &str| sent.get(name).unwrap_or(&Value::Null);
    let calendar = sent.get("calendario");
    let calendar = calendar.ok_or_else(|| ApiError::missing(kind, "calendario"))?;
    let price = field("valor");
    let original = price.get("original");
    let original = original.ok_or_else(|| ApiError::missing(kind, "valor.original"))?;
    let amount = centavos(original).ok_or_else(|| ApiError::invalid(kind, "valor.original"))?;
    let key = read_key(efi, field("chave"), kind)?;
    let terms = if due {
        read_due(calendar, price)?
    } else {
        read_immediate(calendar)?
    };
    check_payer(&sent, due, lock(&efi.settings).alphanumeric_cnpj)?;
    check_notes(&sent, kind)?;
    let location = match sent.get("loc") {
        None => None,
        Some(location) => {
            let id = location["id"].as_u64();
            Some(id.ok_or_else(|| ApiError::invalid(kind, "loc.id"))?)
        }
    };
    Ok(Asked {
        terms,
        amount,
        key,
        location,
        sent,
    })
}

fn read_key(efi: &Efi, value: &Value, kind: &'static str) -> Result<String, ApiError> {
    let key = value.as_str().filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| ApiError::missing(kind, "chave"))?;
    if key.chars().count() > MAX_KEY {
        return Err(ApiError::invalid(kind, "chave"));
    }
    let ours = &lock(&efi.settings).keys;
    if !ours.is_empty() && !ours.iter().any(|ours| ours == key) {
        let message = "A chave informada não pertence à conta";
        return Err(ApiError::bad("chave_invalida", kind, message));
    }
    Ok(key.to_owned())
}

fn read_immediate(calendar: &Value) -> Result<Terms, ApiError> {
    let Some(value) = calendar.get("expiracao") else {
        return Ok(Terms::Immediate {
            expires_in: A_DAY_S,
        });
    };
    let seconds = value.as_i64();
    let seconds = seconds.filter(|seconds| (1..=i64::from(i32::MAX)).contains(seconds));
    let wrong = || ApiError::invalid(kind_of_error(false), "calendario.expiracao");
    Ok(Terms::Immediate {
        expires_in: seconds.ok_or_else(wrong)?,
    })
}

fn read_due(calendar: &Value, price: &Value) -> Result<Terms, ApiError> {
    let kind = kind_of_error(true);
    let field = "calendario.dataDeVencimento";
    let text = calendar.get("dataDeVencimento");
    let text = text.ok_or_else(|| ApiError::missing(kind, field))?;
    let date = text
        .as_str()
        .and_then(|text| text.parse::<NaiveDate>().ok());
    let valid_days = match calendar.get("validadeAposVencimento") {
        None => VALID_DAYS,
        Some(days) => {
            let days = days.as_u64().filter(|days| *days <= MAX_VALID_DAYS);
            days.ok_or_else(|| ApiError::invalid(kind, "calendario.validadeAposVencimento"))?
        }
    };
    Ok(Terms::Due(Due {
        date: date.ok_or_else(|| ApiError::invalid(kind, field))?,
        valid_days,
        rules: Rules::read(price)?,
    }))
}

/// Refuses a due date in the past.
pub(super) fn check_date(terms: &Terms, now: DateTime<Utc>) -> Result<(), ApiError> {
    match terms {
        Terms::Due(due) if due.date < day(now) => {
            let field = "calendario.dataDeVencimento";
            Err(ApiError::invalid(kind_of_error(true), field))
        }
        _ => Ok(()),
    }
}

/// Ten years: a limit that keeps dates within the calendar.
const MAX_VALID_DAYS: u64 = 3_650;

/// Validates the payer: a name with exactly one document, and an address for charges with a due date.
fn check_payer(sent: &Map<String, Value>, due: bool, letters: bool) -> Result<(), ApiError> {
    let kind = kind_of_error(due);
    let Some(payer) = sent.get("devedor") else {
        return if due {
            Err(ApiError::missing(kind, "devedor"))
        } else {
            Ok(())
        };
    };
    let is_right = match (payer.get("cpf"), payer.get("cnpj")) {
        (Some(cpf), None) => cpf.as_str().is_some_and(is_cpf),
        (None, Some(cnpj)) => cnpj
            .as_str()
            .is_some_and(|cnpj| is_cnpj(cnpj) && (letters || !has_letters(cnpj))),
        _ => false,
    };
    if !is_right {
        return Err(ApiError::invalid(kind, "devedor"));
    }
    if !is_text(&payer["nome"], MAX_NAME) {
        return Err(ApiError::invalid(kind, "devedor.nome"));
    }
    if due {
        for (name, most) in [("logradouro", 200), ("cidade", 200), ("uf", 2), ("cep", 8)] {
            if !is_text(&payer[name], most) {
                return Err(ApiError::invalid(kind, &format!("devedor.{name}")));
            }
        }
    }
    Ok(())
}

fn is_text(value: &Value, most: usize) -> bool {
    let text = value.as_str();
    text.is_some_and(|text| !text.is_empty() && text.chars().count() <= most)
}

fn check_notes(sent: &Map<String, Value>, kind: &'static str) -> Result<(), ApiError> {
    if let Some(message) = sent.get("solicitacaoPagador") {
        let is_right = message
            .as_str()
            .is_some_and(|text| text.chars().count() <= MAX_MESSAGE);
        if !is_right {
            return Err(ApiError::invalid(kind, "solicitacaoPagador"));
        }
    }
    let Some(notes) = sent.get("infoAdicionais") else {
        return Ok(());
    };
    let is_note =
        |note: &Value| is_text(&note["nome"], MAX_NOTE_NAME) && is_text(&note["valor"], MAX_NOTE);
    let are_right = notes
        .as_array()
        .is_some_and(|notes| notes.len() <= MAX_NOTES && notes.iter().all(is_note));
    if are_right {
        Ok(())
    } else {
        Err(ApiError::invalid(kind, "infoAdicionais"))
    }
}

/// Returns the request with changes applied: dates and prices by field, other values as a whole.
pub(super) fn merged(sent: &Map<String, Value>, changes: &Value) -> Value {
    let mut merged = sent.clone();
    for (name, value) in changes.as_object().into_iter().flatten() {
        match (name.as_str(), merged.get_mut(name), value) {
            ("calendario" | "valor", Some(Value::Object(old)), Value::Object(new)) => {
                old.extend(new.clone());
            }
            ("status", ..) => {}
            _ => {
                merged.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(merged)
}
