//! Payments. References repeat as they like.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{Response, StatusCode},
    response::IntoResponse,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::Months;
use serde_json::{Map, Number, Value, json};

use super::{Account, Asaas, Payment, absent, day, wrong};
use crate::{
    control::{Action, Book},
    listener::About,
    sim::{decimal, lock},
};

/// Enough of a PNG for those who only look whether it is one.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// A code lives for a year after its due date.
const CODE_LIVES: Months = Months::new(12);

type Refused = (&'static str, &'static str);

/// `POST /v3/payments`.
pub(super) async fn create(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Json(sent): Json<Map<String, Value>>,
) -> Response<Body> {
    let payment = match read_request(&asaas, &account, &sent) {
        Ok(payment) => payment,
        Err((code, description)) => return wrong(StatusCode::BAD_REQUEST, code, description),
    };
    let mut state = lock(&asaas.state);
    state.made += 1;
    let payment = Payment {
        number: state.made,
        ..payment
    };
    state.order.push(payment.id.clone());
    state.payments.insert(payment.id.clone(), payment.clone());
    drop(state);
    asaas.tell("PAYMENT_CREATED", &payment);
    asaas.expect_payment(&payment.id);
    about(&payment, Json(payment.json()).into_response())
}

fn about(payment: &Payment, mut response: Response<Body>) -> Response<Body> {
    if let Some(reference) = &payment.reference {
        response.extensions_mut().insert(About(reference.clone()));
    }
    response
}

fn read_request(
    asaas: &Asaas,
    account: &str,
    sent: &Map<String, Value>,
) -> Result<Payment, Refused> {
    let text = |name: &str| {
        sent.get(name)
            .and_then(Value::as_str)
            .map(ToOwned::to_owned)
    };
    let customer = text("customer").unwrap_or_default();
    let known = lock(&asaas.state)
        .customers
        .get(&customer)
        .is_some_and(|customer| customer.account == account);
    if !known {
        return Err(("invalid_customer", "Customer inválido ou não informado."));
    }
    if sent.get("billingType").and_then(Value::as_str) != Some("PIX") {
        return Err(("invalid_billingType", "O campo billingType é inválido."));
    }
    let value = sent
        .get("value")
        .and_then(Value::as_number)
        .and_then(centavos)
        .filter(|amount| *amount > 0);
    let amount = value.ok_or(("invalid_value", "O campo value deve ser informado."))?;
    let now = asaas.sim.now();
    let due = text("dueDate")
        .and_then(|due| due.parse().ok())
        .ok_or(("invalid_dueDate", "O campo dueDate deve ser informado."))?;
    let today = day(now)
        .parse()
        .map_err(|_| ("invalid_dueDate", "O campo dueDate deve ser informado."))?;
    if due < today {
        return Err((
            "invalid_dueDate",
            "Não é permitido data de vencimento inferior a hoje.",
        ));
    }
    Ok(Payment {
        account: account.to_owned(),
        id: format!("pay_{}", asaas.sim.random(16)),
        number: 0,
        customer,
        amount,
        due,
        description: text("description"),
        reference: text("externalReference"),
        status: "PENDING",
        deleted: false,
        created_at: now,
        paid_at: None,
        location: format!("pix.asaas.com/qr/cobv/{}", asaas.sim.random(32)),
        service_us: 0,
    })
}

fn centavos(number: &Number) -> Option<i64> {
    let text = number.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    if part.len() > 2 {
        return None;
    }
    format!("{whole}{part:0<2}").parse().ok()
}

/// `GET /v3/payments?externalReference=`: newest first.
pub(super) async fn list(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Query(query): Query<HashMap<String, String>>,
) -> Json<Value> {
    let number = |name: &str, default: usize| {
        query
            .get(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (limit, offset) = (number("limit", 10).min(100), number("offset", 0));
    let state = lock(&asaas.state);
    let wanted = |name: &str, found: Option<&str>| {
        query.get(name).is_none_or(|wanted| found == Some(wanted))
    };
    let found: Vec<_> = state
        .order
        .iter()
        .rev()
        .filter_map(|id| state.payments.get(id))
        .filter(|payment| payment.account == account)
        .filter(|payment| wanted("externalReference", payment.reference.as_deref()))
        .filter(|payment| {
            wanted("status", Some(payment.status)) && wanted("customer", Some(&payment.customer))
        })
        .map(Payment::json)
        .collect();
    let page: Vec<_> = found.iter().skip(offset).take(limit).cloned().collect();
    let more = offset + page.len() < found.len();
    Json(
        json!({ "object": "list", "hasMore": more, "totalCount": found.len(), "limit": limit, "offset": offset, "data": page }),
    )
}

fn find(asaas: &Asaas, account: &str, id: &str) -> Option<Payment> {
    lock(&asaas.state)
        .payments
        .get(id)
        .filter(|payment| payment.account == account)
        .cloned()
}

/// `GET /v3/payments/{id}`.
pub(super) async fn read(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Response<Body> {
    find(&asaas, &account, &id).map_or_else(absent, |payment| Json(payment.json()).into_response())
}

/// `GET /v3/payments/{id}/status`.
pub(super) async fn status(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Response<Body> {
    find(&asaas, &account, &id).map_or_else(absent, |payment| {
        Json(json!({ "status": payment.status })).into_response()
    })
}

/// `GET /v3/payments/{id}/pixQrCode`.
pub(super) async fn code(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Response<Body> {
    let Some(payment) = find(&asaas, &account, &id).filter(|payment| !payment.deleted) else {
        return absent();
    };
    let until = payment
        .due
        .checked_add_months(CODE_LIVES)
        .unwrap_or(payment.due);
    let json = json!({
        "encodedImage": STANDARD.encode(PNG), "payload": crate::br_code::dynamic(&payment.location, &decimal(payment.amount)),
        "expirationDate": format!("{until} 23:59:59"), "description": payment.description,
    });
    about(&payment, Json(json).into_response())
}

/// `DELETE /v3/payments/{id}`: only what is pending or overdue.
pub(super) async fn delete(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Response<Body> {
    let Some(payment) = find(&asaas, &account, &id) else {
        return absent();
    };
    if payment.deleted || !matches!(payment.status, "PENDING" | "OVERDUE") {
        return wrong(
            StatusCode::BAD_REQUEST,
            "invalid_action",
            "Esta cobrança não pode ser removida.",
        );
    }
    let _ = asaas.act(&id, Action::Cancel, true);
    Json(json!({ "deleted": true, "id": id })).into_response()
}

/// `POST /v3/sandbox/payment/{id}/confirm`.
pub(super) async fn confirm(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Response<Body> {
    if find(&asaas, &account, &id).is_none() {
        return absent();
    }
    match asaas.act(&id, Action::Pay(None), true) {
        Ok(()) => read(State(asaas), Account(account), Path(id)).await,
        Err(_) => wrong(
            StatusCode::BAD_REQUEST,
            "invalid_action",
            "Esta cobrança não pode ser confirmada.",
        ),
    }
}
