//! Customers. Several customers may have the same document.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{
    Asaas,
    answer::{Answer, Refusal, Sent, day, ok, page, text},
    limits::Account,
};
use crate::{
    document::{is_cnpj, is_cpf},
    sim::lock,
};

/// Digits of a mobile number: the area code, the leading 9, and eight more.
const MOBILE_DIGITS: usize = 11;
const LANDLINE_DIGITS: [usize; 2] = [10, 11];
/// Fields that a request may set and a response returns.
const FIELDS: [&str; 19] = [
    "name",
    "email",
    "company",
    "phone",
    "mobilePhone",
    "address",
    "addressNumber",
    "complement",
    "province",
    "postalCode",
    "cpfCnpj",
    "additionalEmails",
    "externalReference",
    "notificationDisabled",
    "observations",
    "municipalInscription",
    "stateInscription",
    "city",
    "state",
];

#[derive(Clone)]
pub(super) struct Customer {
    pub account: String,
    pub id: String,
    pub created_at: DateTime<Utc>,
    pub deleted: bool,
    pub sent: Map<String, Value>,
}

impl Customer {
    fn json(&self) -> Value {
        let document = text(&self.sent, "cpfCnpj").unwrap_or_default();
        let person = if document.len() == 11 {
            "FISICA"
        } else {
            "JURIDICA"
        };
        let mut json = json!({
            "object": "customer", "id": self.id, "dateCreated": day(self.created_at), "name": null, "email": null, "company": null,
            "phone": null, "mobilePhone": null, "address": null, "addressNumber": null, "complement": null, "province": null,
            "postalCode": null, "cpfCnpj": null, "personType": person, "deleted": self.deleted, "additionalEmails": null,
            "externalReference": null, "notificationDisabled": false, "observations": null, "municipalInscription": null,
            "stateInscription": null, "canDelete": true, "cannotBeDeletedReason": null, "canEdit": true, "cannotEditReason": null,
            "city": null, "cityName": null, "state": null, "country": "Brasil",
        });
        for name in FIELDS {
            if let Some(value) = self.sent.get(name) {
                json[name] = value.clone();
            }
        }
        json
    }
}

/// Handles `POST /v3/customers`.
pub(super) async fn create(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Sent(mut sent): Sent,
) -> Answer {
    check(&mut sent, asaas.behavior().alphanumeric_cnpj)?;
    let mut state = lock(&asaas.state);
    let customer = Customer {
        account,
        id: format!("cus_{:012}", state.number()),
        created_at: asaas.sim.now(),
        deleted: false,
        sent,
    };
    let json = customer.json();
    state.customers.insert(customer.id.clone(), customer);
    Ok(ok(json))
}

fn check(sent: &mut Map<String, Value>, alphanumeric: bool) -> Result<(), Refusal> {
    if text(sent, "name").is_none() {
        return Err(Refusal::of(
            "invalid_name",
            "O campo name deve ser informado.",
        ));
    }
    let document = normal(&text(sent, "cpfCnpj").unwrap_or_default());
    if !is_document(&document, alphanumeric) {
        return Err(Refusal::of(
            "invalid_object",
            "O CPF/CNPJ informado é inválido.",
        ));
    }
    sent.insert("cpfCnpj".to_owned(), document.into());
    if text(sent, "email").is_some_and(|email| !is_email(&email)) {
        return Err(Refusal::of(
            "invalid_email",
            "O email informado é inválido.",
        ));
    }
    let mobile = Refusal::of("invalid_mobilePhone", "O celular informado é inválido.");
    check_phone(sent, "mobilePhone", is_mobile).map_err(|()| mobile)?;
    let phone = Refusal::of("invalid_phone", "O telefone informado é inválido.");
    check_phone(sent, "phone", is_phone).map_err(|()| phone)
}

fn check_phone(
    sent: &mut Map<String, Value>,
    name: &str,
    is_right: fn(&str) -> bool,
) -> Result<(), ()> {
    let Some(phone) = text(sent, name) else {
        return Ok(());
    };
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    if !is_right(&digits) {
        return Err(());
    }
    sent.insert(name.to_owned(), digits.into());
    Ok(())
}

/// Returns true for a mobile number, false for a landline.
fn is_mobile(digits: &str) -> bool {
    digits.len() == MOBILE_DIGITS && has_area(digits) && digits[2..].starts_with('9')
}

fn is_phone(digits: &str) -> bool {
    LANDLINE_DIGITS.contains(&digits.len()) && has_area(digits)
}

/// Returns true if the area code has no zero, as every valid one.
fn has_area(digits: &str) -> bool {
    digits.bytes().take(2).all(|digit| digit != b'0')
}

/// Returns the document in upper case without punctuation.
fn normal(document: &str) -> String {
    let kept = document.chars();
    let kept = kept.filter(|c| !matches!(c, '.' | '-' | '/' | ' '));
    kept.collect::<String>().to_uppercase()
}

fn is_document(text: &str, alphanumeric: bool) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    is_cpf(text) || (is_cnpj(text) && (alphanumeric || digits))
}

fn is_email(text: &str) -> bool {
    text.split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'))
}

/// Handles `GET /v3/customers?cpfCnpj=&externalReference=`, newest first.
pub(super) async fn list(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let state = lock(&asaas.state);
    let matches = |customer: &&Customer| {
        query.iter().all(|(name, wanted)| match name.as_str() {
            "cpfCnpj" => text(&customer.sent, name) == Some(normal(wanted)),
            "externalReference" | "email" | "name" => {
                text(&customer.sent, name).as_ref() == Some(wanted)
            }
            _ => true,
        })
    };
    let mine = state.customers.values().rev();
    let found: Vec<_> = mine
        .filter(|customer| customer.account == account && !customer.deleted)
        .filter(matches)
        .collect();
    Ok(ok(page(&query, &found, |customer| customer.json())))
}

/// Handles `GET /v3/customers/{id}`.
pub(super) async fn read(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    let state = lock(&asaas.state);
    let found = state.customers.get(&id);
    let mine = found.filter(|customer| customer.account == account);
    Ok(ok(mine.ok_or(Refusal::Absent)?.json()))
}

/// Handles `DELETE /v3/customers/{id}`.
pub(super) async fn delete(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    let mut state = lock(&asaas.state);
    let found = state.customers.get_mut(&id);
    let mine = found.filter(|customer| customer.account == account && !customer.deleted);
    mine.ok_or(Refusal::Absent)?.deleted = true;
    Ok(ok(json!({ "deleted": true, "id": id })))
}
