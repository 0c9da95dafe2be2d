//! Signed events. `GATEWAYS.md` §3.9.

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::answer::{Intent, instant};
use crate::{GatewayNotice, Means, NotificationError, Received};

/// An event signed earlier or later than this, in seconds, is refused: it may be a replay.
const TOLERANCE_S: i64 = 300;

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    created: i64,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

/// Verifies over the raw bytes, then reads.
pub(super) fn read(
    received: &Received,
    secrets: &[SecretString],
    live: bool,
) -> Result<Vec<GatewayNotice>, NotificationError> {
    verify(received, secrets)?;
    let event: Event = serde_json::from_slice(&received.body)
        .map_err(|_| NotificationError::Unreadable("not an event".to_owned()))?;
    let nothing = |charge, reference| GatewayNotice {
        dedupe_key: event.id.clone(),
        event: event.kind.clone(),
        reference,
        charge,
        payment: None,
        means: Means::Nothing,
    };
    if !event.kind.starts_with("payment_intent.") {
        return Ok(vec![nothing(
            event.data.object["payment_intent"]
                .as_str()
                .map(ToOwned::to_owned),
            None,
        )]);
    }
    let intent: Intent = serde_json::from_value(event.data.object.clone())
        .map_err(|_| NotificationError::Unreadable("not a payment intent".to_owned()))?;
    let (charge, reference) = (
        Some(intent.id.clone()),
        intent.reference().map(ToOwned::to_owned),
    );
    if intent.is_live() != live {
        return Ok(vec![nothing(charge, reference)]);
    }
    let mut stands = intent
        .to_charge()
        .map_err(|why| NotificationError::Unreadable(why.message))?;
    // the intent tells when it was made, the event when it was paid
    if let Some(at) = instant(event.created) {
        stands
            .payments
            .iter_mut()
            .for_each(|payment| payment.paid_at = at);
    }
    Ok(vec![GatewayNotice {
        means: Means::Stands(Box::new(stands)),
        ..nothing(charge, reference)
    }])
}

fn verify(received: &Received, secrets: &[SecretString]) -> Result<(), NotificationError> {
    let header = received
        .header("stripe-signature")
        .ok_or(NotificationError::Forged("no signature"))?;
    let parts: Vec<(&str, &str)> = header
        .split(',')
        .filter_map(|part| part.trim().split_once('='))
        .collect();
    let time = parts
        .iter()
        .find(|(name, _)| *name == "t")
        .map(|(_, value)| *value);
    let time = time.ok_or(NotificationError::Forged("no time in the signature"))?;
    let signed_at: i64 = time
        .parse()
        .map_err(|_| NotificationError::Forged("no time in the signature"))?;
    let signatures: Vec<Vec<u8>> = parts
        .iter()
        .filter(|(name, _)| *name == "v1")
        .filter_map(|(_, value)| hex::decode(value).ok())
        .collect();
    let genuine = secrets.iter().any(|secret| {
        let expected = sign(secret.expose_secret(), time, &received.body);
        signatures
            .iter()
            .any(|signature| bool::from(signature.as_slice().ct_eq(&expected)))
    });
    if !genuine {
        return Err(NotificationError::Forged("no signature matches"));
    }
    if (received.at.timestamp() - signed_at).abs() > TOLERANCE_S {
        return Err(NotificationError::Forged("signed too long ago"));
    }
    Ok(())
}

pub(super) fn sign(secret: &str, time: &str, body: &[u8]) -> Vec<u8> {
    use hmac::KeyInit;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().to_vec()
}
