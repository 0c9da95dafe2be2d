//! Disputes (*infrações*): a payer disputes a Pix (MED).

use schemas::{Instant, dispute};
use serde::Deserialize;

use crate::{GatewayDispute, GatewayNotice, NoticeKind, money};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Infraction {
    id_infracao: String,
    pub end_to_end_id: String,
    valor: String,
    status: String,
    /// Response deadline as text, so that an unknown format breaks nothing.
    #[serde(alias = "prazo")]
    prazo_defesa: Option<String>,
    criacao: Option<String>,
}

/// Maps a dispute's status. An unknown one is under review, and so holds the money.
fn status(theirs: &str) -> dispute::DisputeStatus {
    match theirs {
        "ABERTA" => dispute::DisputeStatus::NeedsResponse,
        "ACEITA" => dispute::DisputeStatus::Lost,
        "REJEITADA" | "CANCELADA_EFI" => dispute::DisputeStatus::Won,
        // EM_DEFESA
        _ => dispute::DisputeStatus::UnderReview,
    }
}

fn instant(text: Option<&String>) -> Option<Instant> {
    text?.parse().ok()
}

impl Infraction {
    pub(super) fn to_dispute(&self) -> Option<GatewayDispute> {
        Some(GatewayDispute {
            id: self.id_infracao.clone(),
            payment: self.end_to_end_id.clone(),
            amount: money::centavos(&self.valor)?,
            kind: dispute::DisputeKind::Med,
            status: status(&self.status),
            reason: None,
            respond_by: instant(self.prazo_defesa.as_ref()),
            created_at: instant(self.criacao.as_ref()),
        })
    }

    /// Returns a proved notice, with a key for each status of the dispute.
    pub(super) fn to_notice(&self) -> Option<GatewayNotice> {
        Some(GatewayNotice {
            dedupe_key: format!("infracao/{}/{}", self.id_infracao, self.status),
            event: "infracao".to_owned(),
            reference: None,
            charge: None,
            payment: Some(self.end_to_end_id.clone()),
            stated_at: None,
            means: NoticeKind::Dispute(Box::new(self.to_dispute()?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_an_infraction_has_ours() {
        for (theirs, ours) in [
            ("ABERTA", dispute::DisputeStatus::NeedsResponse),
            ("EM_DEFESA", dispute::DisputeStatus::UnderReview),
            ("ACEITA", dispute::DisputeStatus::Lost),
            ("REJEITADA", dispute::DisputeStatus::Won),
            ("CANCELADA_EFI", dispute::DisputeStatus::Won),
            ("NOVA_COISA", dispute::DisputeStatus::UnderReview),
        ] {
            assert_eq!(status(theirs), ours, "{theirs}");
        }
    }

    #[test]
    fn a_date_in_another_form_breaks_nothing() {
        let read: Infraction = serde_json::from_str(
            r#"{"idInfracao":"i1","endToEndId":"E1","protocolo":"P","valor":"10.00","status":"ABERTA","prazoDefesa":"31/07/2026","x":1}"#,
        )
        .expect("an infraction");
        let dispute = read.to_dispute().expect("a dispute");
        assert_eq!((dispute.amount, dispute.respond_by), (1_000, None));
    }
}
