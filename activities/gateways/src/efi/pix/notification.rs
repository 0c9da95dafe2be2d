//! What Efí posts to the address of a Pix key: nothing signs it, so that it is a hint and no more.

use serde::Deserialize;
use serde_json::Value;

use super::{received::Received as Pix, refund::Returned};
use crate::{GatewayNotice, Means, NotificationError, Received};

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    pix: Vec<Value>,
}

/// One notice for each Pix of the body, or for each money returned. The test of a registration has no body, or an empty one.
pub(in crate::efi) fn read(received: &Received) -> Result<Vec<GatewayNotice>, NotificationError> {
    if received.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    let unreadable = |_| NotificationError::Unreadable("not a body of Pix received".to_owned());
    let body: Body = serde_json::from_slice(&received.body).map_err(unreadable)?;
    let mut notices = Vec::new();
    for pix in body.pix {
        let pix: Pix = serde_json::from_value(pix).map_err(unreadable)?;
        let is_of_a_charge = pix.txid.is_some() && pix.tipo.is_none();
        let means = || {
            if is_of_a_charge {
                Means::Hint
            } else {
                Means::Nothing
            }
        };
        // a later word about a Pix repeats it with all that was returned
        if pix.devolucoes.is_empty() {
            notices.push(arrival(&pix, means()));
        }
        for one in &pix.devolucoes {
            notices.push(returning(&pix, one, means()));
        }
    }
    Ok(notices)
}

/// A Pix arrived.
pub(super) fn arrival(pix: &Pix, means: Means) -> GatewayNotice {
    notice(pix, (pix.end_to_end_id.clone(), "pix"), means)
}

/// Money of it goes back.
pub(super) fn returning(pix: &Pix, one: &Returned, means: Means) -> GatewayNotice {
    let key = format!("{}/{}/{}", pix.end_to_end_id, one.id, one.status);
    notice(pix, (key, "devolucao"), means)
}

fn notice(pix: &Pix, (dedupe_key, event): (String, &str), means: Means) -> GatewayNotice {
    GatewayNotice {
        dedupe_key,
        event: event.to_owned(),
        reference: pix.txid.clone(),
        charge: pix.txid.clone(),
        payment: Some(pix.end_to_end_id.clone()),
        means,
    }
}
