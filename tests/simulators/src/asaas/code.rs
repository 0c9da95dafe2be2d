//! Pix code of a charge: text and image.

use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::Months;
use serde_json::json;

use super::{
    Asaas,
    answer::{Answer, Refusal, about},
    limits::Account,
    payment::Billing,
};
use crate::{br_code, qr_code, sim::decimal};

/// Lifetime of a code after the charge's due date: one year.
const CODE_LIVES: Months = Months::new(12);
/// Prefix of the image that other gateways send and Asaas does not.
const DATA_URI: &str = "data:image/png;base64,";

/// Handles `GET /v3/payments/{id}/pixQrCode`.
pub(super) async fn read(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    let payment = asaas.payment(&account, &id)?;
    if payment.deleted {
        return Err(Refusal::Absent);
    }
    if payment.billing == Billing::CreditCard {
        return Err(Refusal::action(
            "Não é possível gerar QR Code Pix para esta forma de pagamento.",
        ));
    }
    if !asaas.behavior().pix_key {
        return Err(Refusal::action(
            "Não há uma chave Pix aprovada para receber esta cobrança.",
        ));
    }
    let until = payment.due.checked_add_months(CODE_LIVES);
    let payload = br_code::dynamic(&payment.location, &decimal(payment.amount));
    let picture = qr_code::png(&payload).unwrap_or_default();
    let json = json!({
        "encodedImage": picture.trim_start_matches(DATA_URI), "payload": payload,
        "expirationDate": format!("{} 23:59:59", until.unwrap_or(payment.due)), "description": payment.description,
    });
    Ok(about(payment.reference.as_ref(), json))
}
