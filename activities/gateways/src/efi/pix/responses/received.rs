//! Received Pix.

use schemas::{Instant, payment_method::PaymentMethodKind};
use serde::Deserialize;

use crate::efi::pix::refunds::Returned;
use crate::{GatewayCharge, GatewayPayment, GatewayStatus, money};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::efi::pix) struct Received {
    pub end_to_end_id: String,
    /// `txid` of the charge. `None`: a static code, or a transfer to the key.
    pub txid: Option<String>,
    pub valor: String,
    pub horario: Instant,
    /// Type of a Pix that the account sent.
    pub tipo: Option<String>,
    #[serde(default)]
    pub devolucoes: Vec<Returned>,
    componentes_valor: Option<Parts>,
    gn_extras: Option<Extras>,
}

/// Parts of the value, if it has a fine, interest or a discount.
#[derive(Debug, Deserialize)]
struct Parts {
    original: Option<Part>,
}

#[derive(Debug, Deserialize)]
struct Part {
    valor: String,
}

#[derive(Debug, Deserialize)]
struct Extras {
    tarifa: Option<String>,
}

impl Received {
    pub(in crate::efi::pix) fn to_payment(&self) -> Option<GatewayPayment> {
        let amount = money::centavos(&self.valor)?;
        let fee = self
            .gn_extras
            .as_ref()
            .and_then(|extras| extras.tarifa.as_deref())
            .and_then(money::centavos);
        Some(GatewayPayment {
            id: self.end_to_end_id.clone(),
            end_to_end_id: Some(self.end_to_end_id.clone()),
            amount,
            method: PaymentMethodKind::Pix,
            fee,
            net: fee.map(|fee| amount - fee),
            installments: None,
            settles_on: None,
            settled_on: None,
            paid_at: self.horario,
        })
    }

    /// Returns the charge that it paid, as far as the Pix contains it: a Pix with our `txid` completes its charge. `None`: of no charge.
    pub(in crate::efi::pix) fn to_charge(&self) -> Option<GatewayCharge> {
        let txid = self.txid.as_ref().filter(|_| self.tipo.is_none())?;
        let payment = self.to_payment()?;
        let asked = self
            .componentes_valor
            .as_ref()
            .and_then(|parts| money::centavos(&parts.original.as_ref()?.valor));
        Some(GatewayCharge {
            status: GatewayStatus::Paid,
            payments: vec![payment.clone()],
            ..GatewayCharge::known(txid, txid, asked.unwrap_or(payment.amount))
        })
    }
}
