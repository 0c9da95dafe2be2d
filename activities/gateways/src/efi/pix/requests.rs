//! Requests to create a charge, and the API Pix's requirements.

use schemas::{
    document::DocumentKind,
    payer::Address,
    payment_method::{DueDate, PaymentMethod},
    route::Unmet,
};
use serde_json::{Value, json};

use crate::{ChargeRequest, efi::unmet as lack, money};

const MAX_NAME: usize = 200;
const MAX_MESSAGE: usize = 140;
const MAX_STREET: usize = 200;
/// Largest amount in centavos: `valor.original` has ten digits before its point.
const MAX_AMOUNT: i64 = 999_999_999_999;
/// `modalidade` of a fine: a percentage.
const FINE_IN_PERCENT: u8 = 2;
/// `modalidade` of interest: a percentage per month, by calendar days.
const INTEREST_IN_PERCENT_A_MONTH: u8 = 3;
/// `modalidade` of a discount: an amount until a date.
const DISCOUNT_UNTIL: u8 = 1;

/// Returns `cobv` for a method with a due date, else `cob`.
pub(super) fn family(method: &PaymentMethod) -> &'static str {
    if method.due().is_some() {
        "cobv"
    } else {
        "cob"
    }
}

/// Returns the requirements that the order does not meet.
pub(in crate::efi) fn unmet(order: &ChargeRequest) -> Vec<Unmet> {
    let mut lacks = Vec::new();
    if order.payer.name.chars().count() > MAX_NAME {
        lacks.push(lack("payer.name", "has at most 200 characters"));
    }
    if order.amount > MAX_AMOUNT {
        lacks.push(lack("amount", "is at most R$ 9.999.999.999,99"));
    }
    if order.method.due().is_some() && order.payer.address.is_none() {
        let why = "is required for a Pix with a due date";
        lacks.push(lack("payer.address", why));
    }
    lacks
}

/// Returns the request's body, a pure function of the order.
pub(super) fn body(order: &ChargeRequest, pix_key: &str) -> Value {
    let mut body = json!({
        "calendario": {},
        "devedor": payer(order),
        "valor": { "original": money::decimal(order.amount) },
        "chave": pix_key,
    });
    match (order.method.due(), &order.method) {
        (Some(due), _) => price(&mut body, &due),
        (None, PaymentMethod::Pix { expires_in, .. }) => {
            body["calendario"] = json!({ "expiracao": expires_in });
        }
        // served by the API Cobranças
        (None, PaymentMethod::Boleto { .. } | PaymentMethod::Card { .. }) => {}
    }
    if let Some(text) = &order.description {
        body["solicitacaoPagador"] = text.chars().take(MAX_MESSAGE).collect::<String>().into();
    }
    body
}

fn payer(order: &ChargeRequest) -> Value {
    let document = match order.payer.document.kind() {
        DocumentKind::Cpf => "cpf",
        DocumentKind::Cnpj => "cnpj",
    };
    let mut payer = json!({ document: order.payer.document.as_str(), "nome": order.payer.name });
    let due = order.method.due();
    if let Some(address) = order.payer.address.as_ref().filter(|_| due.is_some()) {
        payer["logradouro"] = street(address).into();
        payer["cidade"] = address.city.as_str().into();
        payer["uf"] = address.state.as_str().into();
        payer["cep"] = address.postal_code.as_str().into();
    }
    payer
}

/// Returns street, number and the other parts before the city, for which BACEN has one field.
fn street(address: &Address) -> String {
    let mut street = format!("{}, {}", address.street, address.number);
    if let Some(complement) = &address.complement {
        street = format!("{street}, {complement}");
    }
    street = format!("{street} - {}", address.district);
    street.chars().take(MAX_STREET).collect()
}

fn price(body: &mut Value, due: &DueDate) {
    body["calendario"] = json!({
        "dataDeVencimento": due.due_date,
        "validadeAposVencimento": due.days_after_due,
    });
    // basis points are hundredths of a percent, and are written like centavos
    let percent = |bps: u16| money::decimal(i64::from(bps));
    let value = &mut body["valor"];
    if due.fine_bps > 0 {
        value["multa"] =
            json!({ "modalidade": FINE_IN_PERCENT, "valorPerc": percent(due.fine_bps) });
    }
    if due.monthly_interest_bps > 0 {
        value["juros"] = json!({
            "modalidade": INTEREST_IN_PERCENT_A_MONTH,
            "valorPerc": percent(due.monthly_interest_bps),
        });
    }
    if let Some(discount) = &due.discount {
        let until = json!({ "data": discount.until, "valorPerc": money::decimal(discount.amount) });
        value["desconto"] = json!({ "modalidade": DISCOUNT_UNTIL, "descontoDataFixa": [until] });
    }
}
