//! Events with a shared token. `GATEWAYS.md` §4.6.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::answer::{Payment, instant};
use crate::{GatewayNotice, Means, NotificationError, Received};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    id: String,
    event: String,
    date_created: Option<String>,
    payment: Option<Value>,
}

/// Compares the token, then reads.
pub(super) fn read(
    received: &Received,
    tokens: &[SecretString],
) -> Result<Vec<GatewayNotice>, NotificationError> {
    let given = received
        .header("asaas-access-token")
        .ok_or(NotificationError::Forged("no token"))?;
    let known = tokens
        .iter()
        .any(|token| bool::from(token.expose_secret().as_bytes().ct_eq(given.as_bytes())));
    if !known {
        return Err(NotificationError::Forged("another token"));
    }
    let event: Event = serde_json::from_slice(&received.body)
        .map_err(|_| NotificationError::Unreadable("not an event".to_owned()))?;
    let nothing = GatewayNotice {
        dedupe_key: event.id,
        event: event.event,
        reference: None,
        charge: None,
        payment: None,
        means: Means::Nothing,
    };
    let Some(payment) = event.payment else {
        return Ok(vec![nothing]);
    };
    let payment: Payment = serde_json::from_value(payment)
        .map_err(|_| NotificationError::Unreadable("not a payment".to_owned()))?;
    let told_at = event.date_created.as_deref().and_then(instant);
    let stands = payment
        .to_charge(told_at)
        .map_err(|why| NotificationError::Unreadable(why.message))?;
    Ok(vec![GatewayNotice {
        reference: payment.reference().map(ToOwned::to_owned),
        charge: Some(payment.id.clone()),
        means: Means::Stands(Box::new(stands)),
        ..nothing
    }])
}
