//! The Pix code of a charge: text and picture.

use std::sync::Arc;

use axum::extract::{Path, State};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::Months;
use qrcode::{Color, EcLevel, QrCode};
use serde_json::json;

use super::{
    Asaas,
    answer::{Answer, Refusal, about},
    gate::Account,
    payment::Billing,
};
use crate::sim::decimal;

/// A code lives for a year after its due date.
const CODE_LIVES: Months = Months::new(12);
/// Pixels of a module.
const SCALE: usize = 4;
/// White modules around the code.
const QUIET: usize = 4;

/// `GET /v3/payments/{id}/pixQrCode`.
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
    if !asaas.behaviour().pix_key {
        return Err(Refusal::action(
            "Não há uma chave Pix aprovada para receber esta cobrança.",
        ));
    }
    let until = payment.due.checked_add_months(CODE_LIVES);
    let payload = crate::br_code::dynamic(&payment.location, &decimal(payment.amount));
    let picture = picture(&payload).unwrap_or_default();
    let json = json!({
        "encodedImage": STANDARD.encode(picture), "payload": payload,
        "expirationDate": format!("{} 23:59:59", until.unwrap_or(payment.due)), "description": payment.description,
    });
    Ok(about(payment.reference.as_ref(), json))
}

/// A PNG; none for a text that no QR code holds.
fn picture(payload: &str) -> Option<Vec<u8>> {
    let code = QrCode::with_error_correction_level(payload, EcLevel::M).ok()?;
    let (width, colors) = (code.width(), code.to_colors());
    let side = (width + 2 * QUIET) * SCALE;
    let dark = |x: usize, y: usize| {
        let inside = |at: usize| (at / SCALE).checked_sub(QUIET).filter(|at| *at < width);
        match (inside(x), inside(y)) {
            (Some(x), Some(y)) => colors[y * width + x] == Color::Dark,
            _ => false,
        }
    };
    let pixels: Vec<u8> = (0..side)
        .flat_map(|y| (0..side).map(move |x| (x, y)))
        .map(|(x, y)| if dark(x, y) { 0 } else { u8::MAX })
        .collect();
    let side = u32::try_from(side).ok()?;
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&pixels).ok()?;
    writer.finish().ok()?;
    Some(png)
}
