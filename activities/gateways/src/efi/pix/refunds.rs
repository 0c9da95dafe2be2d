//! Returns of a Pix's money (*devoluções*). One requested by the merchant is a refund; one taken by the banks (MED) is a lost dispute.

use chrono::TimeDelta;
use reqwest::Method;
use schemas::{Instant, attempt::ErrorClass, dispute, id::RefundId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Pix, responses::received::Received};
use crate::{
    GatewayDispute, GatewayError, GatewayRefund, RefundRequest, RefundStatus,
    efi::{errors, requests::Call},
    http::{Deadline, Effect},
    money,
};

const MAX_REASON: usize = 140;
/// Longest time for which a return is in progress.
const UNDER_WAY: TimeDelta = TimeDelta::days(1);

/// Return of money, completed or in progress.
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

/// Maps a return's status.
fn status(theirs: &str) -> Option<RefundStatus> {
    Some(match theirs {
        "EM_PROCESSAMENTO" => RefundStatus::Pending,
        "DEVOLVIDO" => RefundStatus::Succeeded,
        "NAO_REALIZADO" => RefundStatus::Failed,
        _ => return None,
    })
}

/// Returns the body of the refund request.
pub(super) fn body(order: &RefundRequest) -> Value {
    let mut body = json!({ "valor": money::decimal(order.amount) });
    if let Some(reason) = &order.reason {
        body["descricao"] = reason.chars().take(MAX_REASON).collect::<String>().into();
    }
    body
}

impl Returned {
    /// Returns true if the banks took the money (MED), and not the merchant returned it.
    pub(super) fn is_claim(&self) -> bool {
        self.natureza
            .as_deref()
            .is_some_and(|nature| nature.starts_with("MED"))
    }

    /// Returns true if it may have changed since then. A failed return has only the time of its request, which is earlier.
    pub(super) fn moved_since(&self, since: Instant) -> bool {
        let times = &self.horario;
        let moved_at = times.liquidacao.or(times.solicitacao);
        moved_at.is_none_or(|at| at >= since - UNDER_WAY)
    }

    /// Returns the refund of our own request. An answer that cannot be parsed is an unknown outcome.
    pub(super) fn to_refund(&self, payment: &str) -> Result<GatewayRefund, GatewayError> {
        let unreadable = || {
            let what = "the return's status or value is not readable";
            GatewayError::new(ErrorClass::Unknown, "unreadable", what)
        };
        let status = status(&self.status).ok_or_else(unreadable)?;
        let amount = self.amount().ok_or_else(unreadable)?;
        Ok(self.refund(payment, amount, status))
    }

    /// Returns the refund of a list. An unknown status still holds the money.
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

/// Returns the merchant's refunds of a Pix.
pub(super) fn read_refund(pix: &Received) -> Vec<GatewayRefund> {
    let given = pix.devolucoes.iter().filter(|one| !one.is_claim());
    given
        .filter_map(|one| one.listed(&pix.end_to_end_id))
        .collect()
}

/// Returns the disputes by which the banks took back money of a Pix.
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

impl Pix {
    pub(in crate::efi) async fn refund(
        &self,
        order: &RefundRequest,
        deadline: Deadline,
    ) -> Result<GatewayRefund, GatewayError> {
        let body = body(order);
        let path = refund_path(order);
        let call = Call::create(Method::PUT, &path, &body);
        let refusal = match self.session.send(&call, deadline).await {
            Ok(answer) => {
                return answer
                    .read::<Returned>(Effect::Creates)?
                    .to_refund(&order.payment);
            }
            Err(error) if errors::is_taken(&error) => error,
            Err(error) => return Err(error),
        };
        let found = self.find_refund(order, deadline).await;
        match found.map_err(GatewayError::after_an_effect)? {
            Some(refund) if refund.amount == order.amount => Ok(refund),
            Some(_) => Err(GatewayError::new(
                ErrorClass::Rejected,
                "devolucao_id_duplicado",
                "another return has our id",
            )),
            None => Err(refusal),
        }
    }

    pub(in crate::efi) async fn find_refund(
        &self,
        order: &RefundRequest,
        deadline: Deadline,
    ) -> Result<Option<GatewayRefund>, GatewayError> {
        let path = refund_path(order);
        match self.session.send(&Call::read(&path), deadline).await {
            Ok(answer) => {
                let returned: Returned = answer.read(Effect::Reads)?;
                returned.to_refund(&order.payment).map(Some)
            }
            Err(error) if errors::is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn refund_path(order: &RefundRequest) -> [&str; 5] {
    let pix = order.end_to_end_id.as_deref().unwrap_or(&order.payment);
    ["v2", "pix", pix, "devolucao", &order.reference]
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
