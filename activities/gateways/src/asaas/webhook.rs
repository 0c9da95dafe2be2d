//! Our notification address at Asaas. Others' addresses stand beside it and are none of our business. `GATEWAYS.md` §4.6.

use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::{Asaas, notification::EVENTS};
use crate::{
    Finding, GatewayError, Subscription, Watched,
    http::{CALL_TIMEOUT, Deadline, Effect},
};

/// An account has at most ten: one page.
const PAGES: usize = 1;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    id: String,
    url: Option<String>,
    enabled: Option<bool>,
    interrupted: Option<bool>,
    penalized_requests_count: Option<u64>,
    events: Option<Vec<String>>,
}

impl Webhook {
    /// Whether it was registered by a version of ours that knew fewer events.
    fn lacks_events(&self) -> bool {
        let known = self.events.as_ref();
        known.is_some_and(|known| EVENTS.iter().any(|event| !known.iter().any(|k| k == event)))
    }
}

impl Asaas {
    /// Registers `url` with a new token, or gives the one that is there a new token.
    pub(super) async fn register(&self, url: &Url) -> Result<Subscription, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let ours = self.webhooks_at(url, deadline).await?;
        self.register_over(url, &ours, deadline).await
    }

    /// Takes our address back.
    pub(super) async fn deregister(&self, url: &Url) -> Result<(), GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let ours = self.webhooks_at(url, deadline).await?;
        self.remove(&ours, deadline).await
    }

    async fn remove(&self, webhooks: &[Webhook], deadline: Deadline) -> Result<(), GatewayError> {
        for webhook in webhooks {
            self.delete(&["webhooks", &webhook.id], deadline).await?;
        }
        Ok(())
    }

    /// Looks whether we are still told everything, and repairs it.
    pub(super) async fn look_after(&self, url: &Url) -> Result<Watched, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let ours = self.webhooks_at(url, deadline).await?;
        let anew = match ours.first() {
            None => Some(found(
                "address_missing",
                "Asaas had lost our notification address; it is registered again.",
            )),
            Some(webhook) if webhook.enabled == Some(false) => Some(found(
                "notifications_disabled",
                "Asaas's notifications were switched off; they are on again.",
            )),
            Some(_) if self.webhook_tokens.is_empty() => Some(found(
                "token_missing",
                "The token that proves Asaas's notifications was not known; it has a new one.",
            )),
            Some(_) => None,
        };
        if let Some(finding) = anew {
            let subscription = self.register_over(url, &ours, deadline).await?;
            return Ok(Watched {
                findings: vec![finding],
                subscription: Some(subscription),
            });
        }
        let mut findings = Vec::new();
        for webhook in &ours {
            findings.extend(self.repair(webhook, deadline).await?);
        }
        Ok(Watched {
            findings,
            subscription: None,
        })
    }

    async fn repair(
        &self,
        webhook: &Webhook,
        deadline: Deadline,
    ) -> Result<Vec<Finding>, GatewayError> {
        let path = ["webhooks", &webhook.id];
        let mut findings = Vec::new();
        if webhook.interrupted == Some(true) {
            let body = json!({ "interrupted": false });
            self.put(&path, &body, deadline).await?;
            findings.push(found(
                "notifications_interrupted",
                "Asaas had stopped its queue of notifications after many failures; it runs again.",
            ));
        }
        if webhook.lacks_events() {
            self.put(&path, &json!({ "events": EVENTS }), deadline)
                .await?;
            findings.push(found(
                "events_missing",
                "Asaas did not tell every event that is needed; it does now.",
            ));
        }
        if let Some(failed @ 1..) = webhook.penalized_requests_count {
            findings.push(Finding {
                code: "notifications_penalized",
                message: format!(
                    "{failed} of Asaas's notifications failed in a row, and it waits longer before each further one; after 15 it stops. See whether our address answers 200 in ten seconds."
                ),
                repaired: false,
            });
        }
        Ok(findings)
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

    /// Leaves one webhook at `url`: a second one (made by a call whose answer was lost) would carry a token that nobody knows.
    async fn register_over(
        &self,
        url: &Url,
        there: &[Webhook],
        deadline: Deadline,
    ) -> Result<Subscription, GatewayError> {
        let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let body = body(url, &token);
        match there.split_first() {
            Some((kept, others)) => {
                self.put(&["webhooks", &kept.id], &body, deadline).await?;
                self.remove(others, deadline).await?;
            }
            None => {
                self.post(&["webhooks"], &body, (deadline, Effect::Reads))
                    .await?;
            }
        }
        Ok(Subscription::Secret(token))
    }
}

fn body(url: &Url, token: &str) -> Value {
    json!({
        "name": "payment-orchestrator",
        "url": url.as_str(),
        "enabled": true,
        "interrupted": false,
        "apiVersion": 3,
        "authToken": token,
        "sendType": "SEQUENTIALLY",
        "events": EVENTS,
    })
}

fn found(code: &'static str, message: &str) -> Finding {
    Finding {
        code,
        message: message.to_owned(),
        repaired: true,
    }
}
