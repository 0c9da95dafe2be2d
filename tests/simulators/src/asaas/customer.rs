//! Customers: the same document may be there many times.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{Response, StatusCode},
    response::IntoResponse,
};
use serde_json::{Map, Value, json};

use super::{Account, Asaas, Customer, absent, wrong};
use crate::sim::lock;

fn json_of(customer: &Customer) -> Value {
    let mut json = json!({
        "object": "customer", "id": customer.id, "name": null, "email": null, "phone": null, "mobilePhone": null, "address": null,
        "cpfCnpj": null, "personType": "FISICA", "deleted": false, "externalReference": null, "notificationDisabled": false,
        "canDelete": true, "canEdit": true,
    });
    for (name, value) in &customer.sent {
        json[name] = value.clone();
    }
    json
}

/// `POST /v3/customers`.
pub(super) async fn create(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Json(sent): Json<Map<String, Value>>,
) -> Response<Body> {
    let text = |name: &str| sent.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("name").is_empty() {
        return wrong(
            StatusCode::BAD_REQUEST,
            "invalid_name",
            "O campo name deve ser informado.",
        );
    }
    if !is_document(text("cpfCnpj")) {
        return wrong(
            StatusCode::BAD_REQUEST,
            "invalid_object",
            "O CPF/CNPJ informado é inválido.",
        );
    }
    let mut state = lock(&asaas.state);
    state.made += 1;
    let customer = Customer {
        account,
        id: format!("cus_{:012}", state.made),
        sent,
    };
    let json = json_of(&customer);
    state.customers.insert(customer.id.clone(), customer);
    Json(json).into_response()
}

/// `GET /v3/customers?cpfCnpj=&externalReference=`.
pub(super) async fn list(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Query(query): Query<HashMap<String, String>>,
) -> Json<Value> {
    let state = lock(&asaas.state);
    let matches = |customer: &&Customer| {
        ["cpfCnpj", "externalReference", "email"]
            .iter()
            .all(|name| {
                query.get(*name).is_none_or(|wanted| {
                    customer.sent.get(*name).and_then(Value::as_str) == Some(wanted)
                })
            })
    };
    let mine = state
        .customers
        .values()
        .filter(|customer| customer.account == account);
    let data: Vec<_> = mine.filter(matches).map(json_of).collect();
    Json(
        json!({ "object": "list", "hasMore": false, "totalCount": data.len(), "limit": 100, "offset": 0, "data": data }),
    )
}

/// `GET /v3/customers/{id}`.
pub(super) async fn read(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Response<Body> {
    match lock(&asaas.state)
        .customers
        .get(&id)
        .filter(|customer| customer.account == account)
    {
        Some(customer) => Json(json_of(customer)).into_response(),
        None => absent(),
    }
}

/// Check digits, modulo 11: a character is worth its code less 48, weights grow from 2 at the right end, to 11 for a CPF and to 9,
/// then from 2 again, for a CNPJ.
fn is_document(text: &str) -> bool {
    let bytes = text.as_bytes();
    let top = match bytes.len() {
        11 => 11,
        14 => 9,
        _ => return false,
    };
    let known = bytes
        .iter()
        .all(|byte| byte.is_ascii_digit() || (top == 9 && byte.is_ascii_uppercase()));
    if !known || bytes.iter().all(|byte| *byte == bytes[0]) {
        return false;
    }
    let digit = |upto: usize| {
        let weighted = bytes[..upto]
            .iter()
            .rev()
            .zip((2..=top).cycle())
            .map(|(byte, weight)| u32::from(byte - b'0') * weight);
        match weighted.sum::<u32>() % 11 {
            0 | 1 => 0,
            rest => 11 - rest,
        }
    };
    let last = |at: usize| u32::from(bytes[at].wrapping_sub(b'0'));
    digit(bytes.len() - 2) == last(bytes.len() - 2)
        && digit(bytes.len() - 1) == last(bytes.len() - 1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn documents_of_the_documents_are_known() {
        for right in [
            "52998224725",
            "24971563792",
            "12345678909",
            "11222333000181",
            "12ABC34501DE35",
        ] {
            assert!(super::is_document(right), "{right}");
        }
        for wrong in [
            "52998224726",
            "11111111111",
            "1222333000181",
            "",
            "5299822472A",
        ] {
            assert!(!super::is_document(wrong), "{wrong}");
        }
    }
}
