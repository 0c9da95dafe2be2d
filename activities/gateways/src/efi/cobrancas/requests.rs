//! Requests to create a boleto or a card link, and the API's requirements.

use schemas::{
    calendar,
    document::DocumentKind,
    payer::Payer,
    payment_method::{DueDate, PaymentMethodKind},
    route::Unmet,
};
use serde_json::{Value, json};

use crate::{ChargeRequest, contact, efi::unmet as lack};

const MAX_ITEM_NAME: usize = 255;
const MAX_PAYER_NAME: usize = 255;
/// Smallest boleto that banks register for Efí, in centavos.
const MIN_BOLETO: i64 = 500;
/// Most days after its due date for which a boleto may stay registered.
const MAX_DAYS_TO_WRITE_OFF: i64 = 120;
/// Item's name, if the merchant gives no description.
const ITEM: &str = "Cobrança";
/// Units of interest per basis point: Efí counts thousandths of a percent.
const INTEREST_PER_BPS: u32 = 10;

/// Returns the requirements that the order does not meet.
pub(in crate::efi) fn unmet(order: &ChargeRequest) -> Vec<Unmet> {
    let mut lacks = Vec::new();
    if order.payer.name.chars().count() > MAX_PAYER_NAME {
        lacks.push(lack("payer.name", "has at most 255 characters"));
    }
    if order.method.kind() == PaymentMethodKind::Boleto && order.amount < MIN_BOLETO {
        lacks.push(lack("amount", "is at least R$ 5,00 for a boleto"));
    }
    let Some(due) = order.method.due() else {
        return lacks;
    };
    let is_person = order.payer.document.kind() == DocumentKind::Cpf;
    if is_person && !contact::has_two_names(&order.payer) {
        let why = "has a first and a family name on a boleto of Efí";
        lacks.push(lack("payer.name", why));
    }
    if days_to_write_off(&due) > MAX_DAYS_TO_WRITE_OFF {
        let why = "is at most 120 days here, counted to a business day";
        lacks.push(lack("payment_method.days_after_due", why));
    }
    lacks
}

/// Returns the path of a request that creates the charge in one step.
pub(super) fn path(method: PaymentMethodKind) -> &'static [&'static str] {
    match method {
        PaymentMethodKind::Card => &["v1", "charge", "one-step", "link"],
        PaymentMethodKind::Boleto | PaymentMethodKind::Pix => &["v1", "charge", "one-step"],
    }
}

/// Returns the request's body, a pure function of the order.
pub(super) fn body(order: &ChargeRequest) -> Value {
    let item: String = order
        .description
        .as_deref()
        .unwrap_or(ITEM)
        .chars()
        .take(MAX_ITEM_NAME)
        .collect();
    let mut body = json!({
        // `amount` is the quantity
        "items": [{ "name": item, "value": order.amount, "amount": 1 }],
        "metadata": { "custom_id": order.reference },
    });
    if let Some(url) = &order.notification_url {
        body["metadata"]["notification_url"] = url.as_str().into();
    }
    match order.method.due() {
        Some(due) => body["payment"] = json!({ "banking_billet": boleto(order, &due) }),
        None => {
            // a link expires at the end of a day; our own cancellation enforces an earlier last instant
            body["settings"] = json!({
                "payment_method": "credit_card",
                "expire_at": calendar::today(order.expires_at),
                "request_delivery_address": false,
            });
        }
    }
    body
}

/// Returns the days from the due date to the last business day on which the boleto can be paid. Efí writes a boleto off after this
/// many days, business days or not.
fn days_to_write_off(due: &DueDate) -> i64 {
    (due.last_day() - due.due_date).num_days()
}

fn boleto(order: &ChargeRequest, due: &DueDate) -> Value {
    let mut configurations = json!({ "days_to_write_off": days_to_write_off(due) });
    if due.fine_bps > 0 {
        configurations["fine"] = due.fine_bps.into();
    }
    if due.monthly_interest_bps > 0 {
        let value = u32::from(due.monthly_interest_bps) * INTEREST_PER_BPS;
        configurations["interest"] = json!({ "value": value, "type": "monthly" });
    }
    let mut boleto = json!({
        "customer": customer(&order.payer),
        "expire_at": due.due_date,
        "configurations": configurations,
    });
    if let Some(discount) = &due.discount {
        boleto["conditional_discount"] = json!({
            "type": "currency",
            "value": discount.amount,
            "until_date": discount.until,
        });
    }
    boleto
}

fn customer(payer: &Payer) -> Value {
    let document = payer.document.as_str();
    let mut customer = match payer.document.kind() {
        DocumentKind::Cpf => json!({ "name": payer.name, "cpf": document }),
        DocumentKind::Cnpj => {
            json!({ "juridical_person": { "corporate_name": payer.name, "cnpj": document } })
        }
    };
    if let Some(email) = contact::email(payer) {
        customer["email"] = email.into();
    }
    if let Some(phone) = contact::phone(payer) {
        customer["phone_number"] = phone.digits().into();
    }
    if let Some(address) = &payer.address {
        customer["address"] = json!({
            "street": address.street,
            "number": address.number,
            "neighborhood": address.district,
            "zipcode": address.postal_code,
            "city": address.city,
            "complement": address.complement.as_deref().unwrap_or_default(),
            "state": address.state,
        });
    }
    customer
}
