//! Notifications that Efí posts to the address of a Pix key. They are not signed, so they are only hints.

use serde::Deserialize;
use serde_json::Value;

use super::{refunds::Returned, responses::received::Received as Pix};
use crate::{Entries, GatewayNotice, NoticeKind, Unreadable};

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    pix: Vec<Value>,
}

/// Fields of an entry that a hint needs. The other data come from reading the gateway.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    end_to_end_id: String,
    txid: Option<String>,
    #[serde(default)]
    devolucoes: Vec<Back>,
}

#[derive(Deserialize)]
struct Back {
    id: String,
    status: String,
}

/// Parses each entry separately: one notice for each Pix of the body, or for each of its refunds. The test of a registration has no
/// body, or an empty one.
pub(in crate::efi) fn parse(body: &[u8]) -> Entries {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Entries::default();
    }
    let Ok(body) = serde_json::from_slice::<Body>(body) else {
        return Unreadable::new("efi_pix_body", "not a body of Pix received").into();
    };
    let mut entries = Entries::default();
    for value in body.pix {
        if !value["tipo"].is_null() {
            entries.notices.push(payout(&value));
            continue;
        }
        match serde_json::from_value::<Entry>(value) {
            Ok(entry) => entries.notices.extend(entry.notices()),
            Err(_) => {
                entries.extend(Unreadable::new(
                    "efi_pix_entry",
                    "not an entry of a Pix received",
                ));
            }
        }
    }
    entries
}

/// Returns the notice of money that the account sent. It is other business of the account, so only its id is read.
fn payout(entry: &Value) -> GatewayNotice {
    let id = entry["endToEndId"].as_str().unwrap_or_default();
    GatewayNotice {
        dedupe_key: format!("payout/{id}"),
        event: "payout".to_owned(),
        reference: None,
        charge: None,
        payment: None,
        stated_at: None,
        means: NoticeKind::Nothing,
    }
}

impl Entry {
    fn notices(&self) -> Vec<GatewayNotice> {
        let id = (self.end_to_end_id.as_str(), self.txid.as_ref());
        let means = || {
            self.txid
                .as_ref()
                .map_or(NoticeKind::Nothing, |_| NoticeKind::Hint)
        };
        // a later notification of a Pix repeats it with all its refunds
        if self.devolucoes.is_empty() {
            return vec![notice(id, (self.end_to_end_id.clone(), "pix"), means())];
        }
        let back = self.devolucoes.iter().map(|back| {
            let key = back_key(&self.end_to_end_id, (&back.id, &back.status));
            notice(id, (key, "devolucao"), means())
        });
        back.collect()
    }
}

/// Returns the notice of a received Pix.
pub(super) fn arrival(pix: &Pix, means: NoticeKind) -> GatewayNotice {
    let id = (pix.end_to_end_id.as_str(), pix.txid.as_ref());
    notice(id, (pix.end_to_end_id.clone(), "pix"), means)
}

/// Returns the notice of a refund of a Pix.
pub(super) fn returning(pix: &Pix, one: &Returned, means: NoticeKind) -> GatewayNotice {
    let id = (pix.end_to_end_id.as_str(), pix.txid.as_ref());
    let key = back_key(&pix.end_to_end_id, (&one.id, &one.status));
    notice(id, (key, "devolucao"), means)
}

fn back_key(pix: &str, (id, status): (&str, &str)) -> String {
    format!("{pix}/{id}/{status}")
}

fn notice(
    (pix, txid): (&str, Option<&String>),
    (dedupe_key, event): (String, &str),
    means: NoticeKind,
) -> GatewayNotice {
    GatewayNotice {
        dedupe_key,
        event: event.to_owned(),
        reference: txid.cloned(),
        charge: txid.cloned(),
        payment: Some(pix.to_owned()),
        stated_at: None,
        means,
    }
}
