//! Instruments to show to the payer: a Pix code, a boleto's line, Asaas's page. `docs/gateways/asaas.md#create-a-charge`.

use std::time::Duration;

use schemas::{
    Instant, boleto_line::BoletoLine, next_action::NextAction, payment_method::PaymentMethodKind,
};
use serde::Deserialize;

use crate::asaas::{
    Asaas, errors,
    responses::{Payment, unreadable},
};
use crate::{
    ChargeLookup, GatewayCharge, GatewayError,
    http::{Deadline, Effect},
    outside, pix_code,
};

/// Longest wait for a boleto's Pix code, which is optional.
const PIX_OF_BOLETO: Duration = Duration::from_secs(2);

/// Pix code of a payment.
#[derive(Deserialize)]
struct Code {
    payload: Option<String>,
}

/// Line of a boleto, for typing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    identification_field: Option<String>,
}

impl Asaas {
    /// Returns the charge with its instrument while it is payable. A payment of another method than the order's has no instrument to
    /// show.
    pub(in crate::asaas) async fn shown(
        &self,
        payment: &Payment,
        order: &ChargeLookup,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let mut charge = payment.to_charge(None)?;
        let method = order.method.kind();
        if charge.status.is_payable() && payment.is_by(method) {
            let shown = match method {
                PaymentMethodKind::Pix => self.pix(&payment.id, order.expires_at, deadline).await?,
                PaymentMethodKind::Boleto => {
                    self.boleto(payment, order.expires_at, deadline).await?
                }
                PaymentMethodKind::Card => page(payment, order.expires_at)?,
            };
            charge.next_action = Some(shown);
        }
        Ok(charge)
    }

    /// Returns the charge like [`Self::shown`], but without an instrument if Asaas refuses one (for example to an account without a
    /// Pix key) or sends one that cannot be parsed: the charge must still be found to be canceled.
    pub(in crate::asaas) async fn with_instrument(
        &self,
        payment: &Payment,
        order: &ChargeLookup,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        match self.shown(payment, order, deadline).await {
            Err(error) if errors::is_definite(&error) || errors::is_unreadable(&error) => {
                payment.to_charge(None)
            }
            shown => shown,
        }
    }

    async fn pix(
        &self,
        id: &str,
        expires_at: Instant,
        deadline: Deadline,
    ) -> Result<NextAction, GatewayError> {
        Ok(NextAction::Pix {
            copy_paste: self.code(id, deadline).await?,
            qr_code_url: None,
            expires_at,
        })
    }

    async fn boleto(
        &self,
        payment: &Payment,
        expires_at: Instant,
        deadline: Deadline,
    ) -> Result<NextAction, GatewayError> {
        let (line, code) = tokio::join!(
            self.line(&payment.id, deadline),
            outside::timeout(PIX_OF_BOLETO, self.code(&payment.id, deadline)),
        );
        let line = line?;
        Ok(NextAction::Boleto {
            line: line.line(),
            barcode: line.barcode().to_owned(),
            pdf_url: payment.bank_slip_url.clone(),
            copy_paste: code.and_then(Result::ok),
            expires_at,
        })
    }

    async fn code(&self, id: &str, deadline: Deadline) -> Result<String, GatewayError> {
        let answer = self
            .api
            .get(&["payments", id, "pixQrCode"], &[], deadline)
            .await?;
        let code: Code = answer.read(Effect::Reads)?;
        pix_code::as_issued("asaas", code.payload.as_deref())
            .ok_or_else(|| unreadable("the payment came without its Pix code"))
    }

    async fn line(&self, id: &str, deadline: Deadline) -> Result<BoletoLine, GatewayError> {
        let answer = self
            .api
            .get(&["payments", id, "identificationField"], &[], deadline)
            .await?;
        let line: Line = answer.read(Effect::Reads)?;
        BoletoLine::from_line(line.identification_field.as_deref().unwrap_or_default())
            .map_err(|_| unreadable("the boleto has no readable line"))
    }
}

fn page(payment: &Payment, expires_at: Instant) -> Result<NextAction, GatewayError> {
    let url = payment.invoice_url.clone();
    Ok(NextAction::Redirect {
        url: url.ok_or_else(|| unreadable("the payment has no page to pay on"))?,
        expires_at,
    })
}
