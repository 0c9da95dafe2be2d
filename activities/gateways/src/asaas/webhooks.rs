//! Our notification address at Asaas. Asaas allows several webhooks; only ours is touched.
//! `docs/gateways/asaas.md#notifications`.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{Asaas, notifications::EVENTS};
use crate::{
    CheckReport, GatewayError, Issue, Registration, Subscription, Unregister,
    http::{CALL_TIMEOUT, Deadline, Effect},
};

/// Most pages of webhooks: an account has at most ten, which fit on one page.
const PAGES: usize = 1;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    id: String,
    url: Option<String>,
    enabled: Option<bool>,
    has_auth_token: Option<bool>,
    interrupted: Option<bool>,
    penalized_requests_count: Option<u64>,
    events: Option<Vec<String>>,
}

impl Webhook {
    /// Returns true if an earlier version of ours registered it with fewer events.
    fn lacks_events(&self) -> bool {
        let known = self.events.as_ref();
        known.is_some_and(|known| EVENTS.iter().any(|event| !known.iter().any(|k| k == event)))
    }
}

impl Asaas {
    /// Registers `url` with `token`, which the caller has stored. A webhook that is already registered is updated with the token.
    pub(super) async fn register_webhook(
        &self,
        url: &Url,
        token: &SecretString,
    ) -> Result<Subscription, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let there = self.webhooks_at(url, deadline).await?;
        let body = body(url, token);
        let id = if let Some(webhook) = there.into_iter().next() {
            self.put(&["webhooks", &webhook.id], &body, deadline)
                .await?;
            webhook.id
        } else {
            let made: Webhook = self
                .post(&["webhooks"], &body, (deadline, Effect::Reads))
                .await?
                .read(Effect::Reads)?;
            made.id
        };
        Ok(Subscription::Registered { id, secret: None })
    }

    /// Removes webhooks at `url`. A second one, created by a call whose answer was lost, carries another token.
    pub(super) async fn remove_webhooks(
        &self,
        url: &Url,
        which: Unregister<'_>,
    ) -> Result<(), GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let mut there = self.webhooks_at(url, deadline).await?;
        if let Unregister::Others { keep } = which {
            there.retain(|webhook| webhook.id != keep);
        }
        self.remove(&there, deadline).await
    }

    async fn remove(&self, webhooks: &[Webhook], deadline: Deadline) -> Result<(), GatewayError> {
        for webhook in webhooks {
            self.api
                .delete(&["webhooks", &webhook.id], deadline)
                .await?;
        }
        Ok(())
    }

    /// Checks that our registration exists, is active and has all events. Repairs problems that need no new token.
    pub(super) async fn check_webhook(
        &self,
        url: &Url,
        known: &[Registration],
    ) -> Result<CheckReport, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let there = self.webhooks_at(url, deadline).await?;
        let current = Registration::current(known);
        let ours = there
            .iter()
            .find(|webhook| Some(webhook.id.as_str()) == current);
        let lost = match (there.first(), ours) {
            (None, _) => Some(found(
                "address_missing",
                "Asaas had lost our notification address; it is registered again.",
            )),
            (Some(_), None) if current.is_none() => Some(found(
                "token_missing",
                "The token that proves Asaas's notifications was not known; it has a new one.",
            )),
            (Some(_), None) => Some(found(
                "registration_replaced",
                "Another registration of our address had taken the place of ours at Asaas; it is registered again.",
            )),
            (_, Some(webhook)) if webhook.enabled == Some(false) => Some(found(
                "notifications_disabled",
                "Asaas's notifications were switched off; they are on again.",
            )),
            (_, Some(webhook)) if webhook.has_auth_token == Some(false) => Some(found(
                "token_missing",
                "Asaas's notifications carried no token any more; they carry a new one.",
            )),
            (_, Some(_)) => None,
        };
        let mut issues = Vec::new();
        if let (None, Some(webhook)) = (&lost, ours) {
            if there.len() > 1 {
                self.remove_webhooks(url, Unregister::Others { keep: &webhook.id })
                    .await?;
            }
            issues = self.repair(webhook, deadline).await?;
        }
        Ok(CheckReport { issues, lost })
    }

    async fn repair(
        &self,
        webhook: &Webhook,
        deadline: Deadline,
    ) -> Result<Vec<Issue>, GatewayError> {
        let path = ["webhooks", &webhook.id];
        let mut issues = Vec::new();
        if webhook.interrupted == Some(true) {
            let body = json!({ "interrupted": false });
            self.put(&path, &body, deadline).await?;
            issues.push(found(
                "notifications_interrupted",
                "Asaas had stopped its queue of notifications after many failures; it runs again.",
            ));
        }
        if webhook.lacks_events() {
            self.put(&path, &json!({ "events": EVENTS }), deadline)
                .await?;
            issues.push(found(
                "events_missing",
                "Asaas did not send every event that is needed; it does now.",
            ));
        }
        if let Some(failed @ 1..) = webhook.penalized_requests_count {
            issues.push(Issue {
                code: "notifications_penalized",
                message: format!(
                    "{failed} of Asaas's notifications failed in a row, and it waits longer before each further one; after 15 it stops. See whether our address answers 200 in ten seconds."
                ),
                repaired: false,
            });
        }
        Ok(issues)
    }

    async fn webhooks_at(
        &self,
        url: &Url,
        deadline: Deadline,
    ) -> Result<Vec<Webhook>, GatewayError> {
        let mut webhooks: Vec<Webhook> = self.list(&["webhooks"], &[], (PAGES, deadline)).await?;
        webhooks.retain(|webhook| webhook.url.as_deref() == Some(url.as_str()));
        Ok(webhooks)
    }
}

fn body(url: &Url, token: &SecretString) -> Value {
    json!({
        "name": "payment-orchestrator",
        "url": url.as_str(),
        "enabled": true,
        "interrupted": false,
        "apiVersion": 3,
        "authToken": token.expose_secret(),
        "sendType": "SEQUENTIALLY",
        "events": EVENTS,
    })
}

fn found(code: &'static str, message: &str) -> Issue {
    Issue {
        code,
        message: message.to_owned(),
        repaired: true,
    }
}
