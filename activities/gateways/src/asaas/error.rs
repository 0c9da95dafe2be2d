//! Asaas's errors in our classes. `GATEWAYS.md` §4.5.

use crate::{
    GatewayError,
    http::{Answer, Effect},
};

/// The customer of a payment is not there.
pub(super) const NO_CUSTOMER: &str = "invalid_customer";

/// An answer that is no success. Descriptions are Asaas's own texts and repeat no value; a body may also be HTML or empty.
pub(super) fn of(answer: &Answer, effect: Effect) -> GatewayError {
    let body = answer.json();
    let first = &body["errors"][0];
    answer.error(
        effect,
        first["code"].as_str(),
        first["description"].as_str(),
    )
}

/// Nothing is there: often an empty body.
pub(super) fn is_absent(error: &GatewayError) -> bool {
    matches!(error.code.as_str(), "http_404" | "not_found")
}
