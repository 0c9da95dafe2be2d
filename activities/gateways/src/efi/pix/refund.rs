//! A *devolução*: money of a Pix that goes back. Asked for by the merchant it is a refund, taken by the banks (MED) a lost dispute.

use chrono::TimeDelta;
use schemas::{Instant, attempt::ErrorClass, dispute, id::RefundId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::received::Received;
use crate::{GatewayDispute, GatewayError, GatewayRefund, RefundRequest, RefundStatus, money};

const MAX_REASON: usize = 140;
/// A return is under way for less.
const UNDER_WAY: TimeDelta = TimeDelta::days(1);

/// Money given back, or on its way.
#[derive(Debug, Deserialize)]
pub(super) struct Returned {
    pub id: String,
    pub status: String,
    valor: Option<String>,
    natureza: Option<String>,
    motivo: Option<String>,
    #[serde(default)]
    horario: Times,
}

#[derive(Debug, Default, Deserialize)]
struct Times {
    solicitacao: Option<Instant>,
    liquidacao: Option<Instant>,
}

/// Their status → ours.
fn status(theirs: &str) -> Option<RefundStatus> {
    Some(match theirs {
        "EM_PROCESSAMENTO" => RefundStatus::Pending,
        "DEVOLVIDO" => RefundStatus::Succeeded,
        "NAO_REALIZADO" => RefundStatus::Failed,
        _ => return None,
    })
}

/// The body that asks for it.
pub(super) fn body(order: &RefundRequest) -> Value {
    let mut body = json!({ "valor": money::decimal(order.amount) });
    if let Some(reason) = &order.reason {
        body["descricao"] = reason.chars().take(MAX_REASON).collect::<String>().into();
    }
    body
}

impl Returned {
    /// Whether the banks took it (MED), rather than the merchant gave it.
    pub(super) fn is_claim(&self) -> bool {
        self.natureza
            .as_deref()
            .is_some_and(|nature| nature.starts_with("MED"))
    }

    /// Whether it may have moved since then: what fails tells only when it was asked for, a while before.
    pub(super) fn moved_since(&self, since: Instant) -> bool {
        let times = &self.horario;
        let moved_at = times.liquidacao.or(times.solicitacao);
        moved_at.is_none_or(|at| at >= since - UNDER_WAY)
    }

    /// As the answer to our own request; whatever is not understood is an unknown outcome.
    pub(super) fn to_refund(&self, payment: &str) -> Result<GatewayRefund, GatewayError> {
        let unreadable = || {
            let what = "the return's status or value is not readable";
            GatewayError::new(ErrorClass::Unknown, "unreadable", what)
        };
        let status = status(&self.status).ok_or_else(unreadable)?;
        let amount = self.amount().ok_or_else(unreadable)?;
        Ok(self.refund(payment, amount, status))
    }

    /// As one of many: a new status still holds the money.
    pub(super) fn listed(&self, payment: &str) -> Option<GatewayRefund> {
        let status = status(&self.status).unwrap_or(RefundStatus::Pending);
        Some(self.refund(payment, self.amount()?, status))
    }

    fn refund(&self, payment: &str, amount: i64, status: RefundStatus) -> GatewayRefund {
        GatewayRefund {
            id: self.id.clone(),
            reference: RefundId::from_reference(&self.id).map(RefundId::reference),
            payment: payment.to_owned(),
            amount,
            status,
            reason: self.motivo.clone(),
            created_at: self.horario.solicitacao,
        }
    }

    fn amount(&self) -> Option<i64> {
        money::centavos(self.valor.as_deref()?)
    }
}

/// What the merchant gave back of a Pix.
pub(super) fn read_refund(pix: &Received) -> Vec<GatewayRefund> {
    let given = pix.devolucoes.iter().filter(|one| !one.is_claim());
    given
        .filter_map(|one| one.listed(&pix.end_to_end_id))
        .collect()
}

/// What the banks took back of a Pix.
pub(super) fn claimed(pix: &Received) -> Vec<GatewayDispute> {
    let taken = pix.devolucoes.iter().filter(|one| one.is_claim());
    taken
        .filter_map(|one| {
            Some(GatewayDispute {
                id: one.id.clone(),
                payment: pix.end_to_end_id.clone(),
                amount: one.amount()?,
                kind: dispute::DisputeKind::Med,
                status: match status(&one.status) {
                    Some(RefundStatus::Succeeded) => dispute::DisputeStatus::Lost,
                    Some(RefundStatus::Failed) => dispute::DisputeStatus::Won,
                    Some(RefundStatus::Pending) | None => dispute::DisputeStatus::UnderReview,
                },
                reason: one.natureza.clone(),
                respond_by: None,
                created_at: one.horario.solicitacao,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returned(json: Value) -> Returned {
        serde_json::from_value(json).expect("a return")
    }

    #[test]
    fn every_status_of_a_return_has_ours() {
        for (theirs, ours) in [
            ("EM_PROCESSAMENTO", Some(RefundStatus::Pending)),
            ("DEVOLVIDO", Some(RefundStatus::Succeeded)),
            ("NAO_REALIZADO", Some(RefundStatus::Failed)),
            ("NOVA_COISA", None),
        ] {
            assert_eq!(status(theirs), ours, "{theirs}");
        }
    }

    #[test]
    fn an_answer_not_understood_is_an_unknown_outcome() {
        let strange = returned(json!({ "id": "r1", "status": "NOVA_COISA", "valor": "7.89" }));
        let error = strange.to_refund("E1").expect_err("not understood");
        assert_eq!(error.class, ErrorClass::Unknown);
        let listed = strange.listed("E1").expect("listed all the same");
        assert_eq!(listed.status, RefundStatus::Pending);
    }

    #[test]
    fn what_the_banks_took_is_no_refund() {
        let pix: Received = serde_json::from_value(json!({
            "endToEndId": "E1", "valor": "10.00", "horario": "2026-07-14T20:30:00.000Z",
            "devolucoes": [
                { "id": "r1", "status": "DEVOLVIDO", "valor": "1.00", "natureza": "ORIGINAL", "novo": 1 },
                { "id": "r2", "status": "DEVOLVIDO", "valor": "2.00", "natureza": "MED_FRAUDE" },
                { "id": "r3", "status": "NAO_REALIZADO", "valor": "3.00", "motivo": "Saldo insuficiente" },
            ],
        }))
        .expect("a Pix");
        let refunds = read_refund(&pix);
        let seen: Vec<_> = refunds.iter().map(|r| (r.amount, r.status)).collect();
        assert_eq!(
            seen,
            [(100, RefundStatus::Succeeded), (300, RefundStatus::Failed)]
        );
        assert_eq!(refunds[1].reason.as_deref(), Some("Saldo insuficiente"));
        let disputes = claimed(&pix);
        assert_eq!(disputes.len(), 1);
        assert_eq!(
            (disputes[0].amount, disputes[0].status),
            (200, dispute::DisputeStatus::Lost)
        );
    }
}
