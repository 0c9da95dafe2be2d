//! A `cob` as Efí answers it, in our words.

use schemas::{
    Instant, attempt::ErrorClass, br_code::BrCode, next_action::NextAction, payment_method::Kind,
};
use serde::Deserialize;

use crate::{GatewayCharge, GatewayError, GatewayPayment, GatewayStatus, money};

/// An immediate charge. Fields that we do not need are not read, so that they cannot break anything.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cob {
    txid: String,
    status: String,
    calendario: Calendar,
    valor: Amount,
    pix_copia_e_cola: Option<String>,
    #[serde(default)]
    pix: Vec<Received>,
}

#[derive(Debug, Deserialize)]
struct Calendar {
    criacao: Instant,
    #[serde(default = "a_day")]
    expiracao: i64,
}

/// BACEN's default.
fn a_day() -> i64 {
    86_400
}

#[derive(Debug, Deserialize)]
struct Amount {
    original: String,
}

/// A Pix that arrived.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Received {
    pub end_to_end_id: String,
    pub txid: Option<String>,
    pub valor: String,
    pub horario: Instant,
    pub tipo: Option<String>,
    #[serde(default)]
    pub devolucoes: Vec<Returned>,
    gn_extras: Option<Extras>,
}

/// Money given back.
#[derive(Debug, Deserialize)]
pub(super) struct Returned {
    pub id: String,
    pub status: String,
}

#[derive(Debug, Deserialize)]
struct Extras {
    tarifa: Option<String>,
}

/// Their status → ours. `ATIVA` outlives its time: there is no status for that.
fn status(theirs: &str, expired: bool) -> Option<GatewayStatus> {
    Some(match theirs {
        "ATIVA" if expired => GatewayStatus::Expired,
        "ATIVA" => GatewayStatus::Pending,
        "CONCLUIDA" => GatewayStatus::Paid,
        "REMOVIDA_PELO_USUARIO_RECEBEDOR" | "REMOVIDA_PELO_PSP" => GatewayStatus::Canceled,
        _ => return None,
    })
}

impl Cob {
    /// The charge in our words, at `now`.
    pub(super) fn to_charge(&self, now: Instant) -> Result<GatewayCharge, GatewayError> {
        let unreadable = |what| GatewayError::new(ErrorClass::Unknown, "unreadable", what);
        let life = chrono::TimeDelta::try_seconds(self.calendario.expiracao)
            .unwrap_or(chrono::TimeDelta::MAX);
        let expires_at = self
            .calendario
            .criacao
            .checked_add_signed(life)
            .unwrap_or(Instant::MAX_UTC);
        let status = status(&self.status, expires_at <= now)
            .ok_or_else(|| unreadable("the charge has a status that is not known"))?;
        let amount = money::centavos(&self.valor.original)
            .ok_or_else(|| unreadable("the charge's amount is not readable"))?;
        let next_action = match &self.pix_copia_e_cola {
            _ if !status.is_payable() => None,
            Some(code) if BrCode::parse(code).is_ok() => Some(NextAction::Pix {
                copy_paste: code.clone(),
                qr_code_url: None,
                expires_at,
            }),
            _ => return Err(unreadable("the charge has no readable Pix code")),
        };
        let payments = self.pix.iter().filter_map(Received::to_payment).collect();
        Ok(GatewayCharge {
            id: self.txid.clone(),
            reference: Some(self.txid.clone()),
            status,
            amount,
            next_action,
            payments,
            customer: None,
            refunds: Vec::new(),
            disputes: Vec::new(),
        })
    }
}

impl Received {
    fn to_payment(&self) -> Option<GatewayPayment> {
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
            method: Kind::Pix,
            fee,
            net: fee.map(|fee| amount - fee),
            installments: None,
            settles_on: None,
            settled_on: None,
            paid_at: self.horario,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_a_cob_has_ours() {
        for (theirs, expired, ours) in [
            ("ATIVA", false, Some(GatewayStatus::Pending)),
            ("ATIVA", true, Some(GatewayStatus::Expired)),
            ("CONCLUIDA", true, Some(GatewayStatus::Paid)),
            (
                "REMOVIDA_PELO_USUARIO_RECEBEDOR",
                false,
                Some(GatewayStatus::Canceled),
            ),
            ("REMOVIDA_PELO_PSP", false, Some(GatewayStatus::Canceled)),
            ("NOVA_COISA", false, None),
        ] {
            assert_eq!(status(theirs, expired), ours, "{theirs}");
        }
    }
}
