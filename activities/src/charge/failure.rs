//! Reasons for the failure of a charge. Each message names the remedy.

use gateways::GatewayError;
use schemas::{
    attempt::AttemptState,
    charge::{ChargeFailure, FailureCode, GatewayFailure},
    gateway::GatewayKind,
    route,
};
use store::attempts;

/// Returns the failure of a charge that no gateway is left for.
pub(super) fn no_gateway(
    candidates: &[route::RouteCandidate],
    earlier: &[attempts::AttemptRow],
) -> ChargeFailure {
    let reasons: Vec<GatewayFailure> = earlier.iter().filter_map(reason).collect();
    let rejected = earlier.iter().any(|a| a.state == AttemptState::Rejected)
        && earlier.iter().all(|a| a.state == AttemptState::Rejected);
    let tried = earlier
        .iter()
        .map(|a| a.gateway.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let message = if candidates.is_empty() {
        "no gateway connection is routed for this payment method in this mode: add one".to_owned()
    } else if earlier.is_empty() {
        "no connected gateway can take this charge: see `fallbacks` for what each one lacks"
            .to_owned()
    } else if rejected {
        format!(
            "every gateway that could take the charge rejected it (tried, in order: {tried}): correct what `reasons` names and try \
             again with a new charge"
        )
    } else {
        format!(
            "every gateway failed (tried, in order: {tried}): see `reasons` and the charge's timeline, and try again with a new charge"
        )
    };
    ChargeFailure {
        code: if rejected {
            FailureCode::RejectedByGateway
        } else {
            FailureCode::NoGatewayAvailable
        },
        message,
        retryable: !rejected && !earlier.is_empty(),
        gateway: reasons.last().cloned(),
        reasons,
    }
}

/// Returns the failure of a charge that the gateway declined when it was created.
pub(super) fn declined(gateway: GatewayKind, error: Option<&GatewayError>) -> ChargeFailure {
    let gateway = error.map(|error| GatewayFailure {
        kind: gateway,
        code: error.code.clone(),
        message: error.message.clone(),
    });
    ChargeFailure {
        retryable: false,
        reasons: gateway.iter().cloned().collect(),
        gateway,
        ..declined_later()
    }
}

/// Returns the failure of a charge whose presented instrument was declined definitely.
pub(super) fn declined_later() -> ChargeFailure {
    ChargeFailure {
        code: FailureCode::Declined,
        message: "the payer's payment was declined: try again with a new charge".to_owned(),
        retryable: true,
        gateway: None,
        reasons: Vec::new(),
    }
}

fn reason(attempt: &attempts::AttemptRow) -> Option<GatewayFailure> {
    Some(GatewayFailure {
        kind: attempt.gateway,
        code: attempt.error_code.clone()?,
        message: attempt.error_message.clone()?,
    })
}
