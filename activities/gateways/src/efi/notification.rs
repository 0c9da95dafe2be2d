//! What Efí posts to the address of a Pix key: nothing signs it, so that it is a hint and no more.

use serde::Deserialize;
use serde_json::Value;

use super::answer::Received as Pix;
use crate::{GatewayNotice, Means, NotificationError, Received};

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    pix: Vec<Value>,
}

/// One notice for each Pix of the body, and for each money returned. The test of a registration has no body, or an empty one.
pub(super) fn read(received: &Received) -> Result<Vec<GatewayNotice>, NotificationError> {
    if received.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    let unreadable = |_| NotificationError::Unreadable("not a body of Pix received".to_owned());
    let body: Body = serde_json::from_slice(&received.body).map_err(unreadable)?;
    let mut notices = Vec::new();
    for pix in body.pix {
        let pix: Pix = serde_json::from_value(pix).map_err(unreadable)?;
        for returned in &pix.devolucoes {
            let key = format!("{}/{}/{}", pix.end_to_end_id, returned.id, returned.status);
            notices.push(notice(&pix, key, "devolucao", Means::Nothing));
        }
        let ours = pix.txid.is_some() && pix.tipo.is_none() && pix.devolucoes.is_empty();
        let means = if ours { Means::Hint } else { Means::Nothing };
        notices.push(notice(&pix, pix.end_to_end_id.clone(), "pix", means));
    }
    Ok(notices)
}

fn notice(pix: &Pix, dedupe_key: String, event: &str, means: Means) -> GatewayNotice {
    GatewayNotice {
        dedupe_key,
        event: event.to_owned(),
        reference: pix.txid.clone(),
        charge: pix.txid.clone(),
        payment: Some(pix.end_to_end_id.clone()),
        means,
    }
}
