//! Signed events. `docs/gateways/stripe.md#notifications`.

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{Entries, Forged, Received, Registration, Unreadable};

pub(in crate::stripe) mod event;

use event::Event;

/// Most seconds between an event's signature and its arrival. An event signed earlier or later is refused, because it may be a replay.
const TOLERANCE_S: i64 = 300;

/// Verifies the signature over the raw bytes.
pub(super) fn verify(
    received: &Received,
    secrets: &[SecretString],
    known: &[Registration],
) -> Result<(), Forged> {
    let ours = Registration::proving(known, received.at);
    prove(received, secrets.iter().chain(ours))
}

/// Parses a verified body. Stripe's events contain the complete state. `live`: true if this connection moves real money.
pub(super) fn parse(body: &[u8], live: bool) -> Entries {
    match serde_json::from_slice::<Event>(body) {
        Ok(event) => event.read(live),
        Err(_) => Unreadable::new("stripe_event", "not an event").into(),
    }
}

fn prove<'a>(
    received: &Received,
    mut secrets: impl Iterator<Item = &'a SecretString>,
) -> Result<(), Forged> {
    let header = received
        .header("stripe-signature")
        .ok_or(Forged("no signature"))?;
    let parts: Vec<(&str, &str)> = header
        .split(',')
        .filter_map(|part| part.trim().split_once('='))
        .collect();
    let time = parts
        .iter()
        .find(|(name, _)| *name == "t")
        .map(|(_, value)| *value);
    let time = time.ok_or(Forged("no time in the signature"))?;
    let signed_at: i64 = time
        .parse()
        .map_err(|_| Forged("no time in the signature"))?;
    let signatures: Vec<Vec<u8>> = parts
        .iter()
        .filter(|(name, _)| *name == "v1")
        .filter_map(|(_, value)| hex::decode(value).ok())
        .collect();
    let genuine = secrets.any(|secret| {
        let expected = sign(secret.expose_secret(), time, &received.body);
        signatures
            .iter()
            .any(|signature| bool::from(signature.as_slice().ct_eq(&expected)))
    });
    if !genuine {
        return Err(Forged("no signature matches"));
    }
    if (received.at.timestamp() - signed_at).abs() > TOLERANCE_S {
        return Err(Forged("signed too long ago"));
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
