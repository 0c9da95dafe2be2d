//! Tokens that Efí posts to a charge's address, and the histories that they identify. `docs/gateways/efi.md#notifications`.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::{
    Cobrancas,
    responses::{Data, Money},
};
use crate::{
    Entries, GatewayError, GatewayNotice, NoticeKind, Unreadable,
    efi::{errors, requests::Call},
    http::{Deadline, Effect},
    local,
};

const MAX_TOKEN: usize = 100;

#[derive(Deserialize)]
struct Form {
    notification: String,
}

/// Returns true if the body is this API's: a form.
pub(in crate::efi) fn is_form(body: &[u8]) -> bool {
    body.starts_with(b"notification=")
}

/// Parses the token. It is not authenticated: any sender may have posted it.
pub(in crate::efi) fn parse(body: &[u8]) -> Entries {
    let form: Option<Form> = serde_html_form::from_bytes(body).ok();
    let token = form.map(|form| form.notification).filter(|token| {
        let is_plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(is_plain)
    });
    let Some(token) = token else {
        let what = "not the form of a notification's token";
        return Unreadable::new("efi_cobrancas_form", what).into();
    };
    vec![GatewayNotice {
        dedupe_key: token.clone(),
        event: "notification".to_owned(),
        reference: None,
        charge: None,
        payment: None,
        stated_at: None,
        means: NoticeKind::Token(token),
    }]
    .into()
}

/// Step of a charge's history.
#[derive(Debug, Deserialize)]
struct Entry {
    id: u64,
    #[serde(rename = "type")]
    kind: String,
    custom_id: Option<String>,
    status: Step,
    #[serde(default)]
    identifiers: Identifiers,
    created_at: Option<String>,
    value: Option<i64>,
    received_by_bank_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Step {
    current: String,
}

#[derive(Debug, Default, Deserialize)]
struct Identifiers {
    charge_id: Option<u64>,
}

impl Cobrancas {
    /// Fetches the history that a token identifies. The last step of each charge causes a read of the charge; the earlier steps change
    /// nothing.
    pub(in crate::efi) async fn resolve(
        &self,
        token: &str,
        deadline: Deadline,
    ) -> Result<Entries, GatewayError> {
        let path = ["v1", "notification", token];
        let answer = self.session.send(&Call::read(&path), deadline).await?;
        let entries = answer.read::<Data<Vec<Value>>>(Effect::Reads)?.data;
        let listed = entries.len();
        let entries: Vec<Entry> = entries.into_iter().filter_map(readable).collect();
        let mut last = HashMap::new();
        for entry in &entries {
            last.insert(entry.identifiers.charge_id, entry.id);
        }
        let mut notices = Vec::new();
        for entry in &entries {
            let is_last = last.get(&entry.identifiers.charge_id) == Some(&entry.id);
            let means = match entry.identifiers.charge_id {
                Some(charge) if is_last && entry.kind == "charge" => {
                    self.state(charge, &entries, deadline).await?
                }
                _ => NoticeKind::Nothing,
            };
            notices.push(GatewayNotice {
                dedupe_key: format!("{token}/{}", entry.id),
                event: format!("{}.{}", entry.kind, entry.status.current),
                reference: entry.custom_id.clone(),
                charge: entry.identifiers.charge_id.map(|id| id.to_string()),
                payment: None,
                stated_at: None,
                means,
            });
        }
        let mut all = Entries::from(notices);
        if entries.len() < listed {
            let what = "a step of a charge's history";
            all.extend(Unreadable::new("efi_cobrancas_step", what));
        }
        Ok(all)
    }

    /// Returns the charge's state, which is proved because it is read with our credentials.
    async fn state(
        &self,
        id: u64,
        entries: &[Entry],
        deadline: Deadline,
    ) -> Result<NoticeKind, GatewayError> {
        let charge = match self.read(&id.to_string(), deadline).await {
            Ok(charge) => charge,
            Err(error) if errors::is_absent(&error) => return Ok(NoticeKind::Hint),
            Err(error) => return Err(error),
        };
        let history: Vec<_> = entries
            .iter()
            .filter(|entry| entry.identifiers.charge_id == Some(id))
            .collect();
        // an unknown status cannot be applied: a hint lets a later read retry
        Ok(charge
            .to_charge(None, &money(&history))
            .map_or(NoticeKind::Hint, |charge| {
                NoticeKind::ChargeState(Box::new(charge))
            }))
    }
}

fn readable(entry: Value) -> Option<Entry> {
    serde_json::from_value(entry).ok()
}

/// Returns the payment data of the history.
fn money(history: &[&Entry]) -> Money {
    let at = |status: &str| history.iter().find(|entry| entry.status.current == status);
    let Some(paid) = at("paid").or_else(|| at("settled")) else {
        return Money::default();
    };
    let bank = paid.received_by_bank_at.as_deref();
    Money {
        method: None,
        amount: paid.value.filter(|amount| *amount > 0),
        paid_at: paid.created_at.as_deref().and_then(local::instant),
        settled_on: bank.and_then(local::day),
        was_contested: at("contested").is_some(),
    }
}
