//! Changes that a merchant makes in Asaas's dashboard, and the simulator's controls that only Asaas has.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use url::Url;

use super::KEY;
use crate::{bench::Bench, control::Control};

/// Most reads of the dashboard until an expected change; each is a call.
const CHECKS: usize = 2_000;

pub(super) struct Dashboard {
    asaas: Url,
    client: Client,
}

impl Dashboard {
    pub(super) fn of(bench: &Bench) -> Self {
        Self {
            asaas: bench.simulators().url("asaas").clone(),
            client: gateways::http::webhook_client(true).expect("a client"),
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = self.asaas.join(path).expect("an address");
        let mut request = self.client.request(method, url).header("access_token", KEY);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let text = answer.text().await.expect("a body");
        serde_json::from_str(&text).expect("JSON")
    }

    pub(super) async fn webhooks(&self) -> Vec<Value> {
        let list = self.ask(Method::GET, "/v3/webhooks", None).await;
        list["data"].as_array().cloned().unwrap_or_default()
    }

    /// Changes the only webhook.
    pub(super) async fn change_webhook(&self, changes: Value) {
        let webhooks = self.webhooks().await;
        assert_eq!(webhooks.len(), 1);
        let id = webhooks[0]["id"].as_str().expect("an id");
        let path = format!("/v3/webhooks/{id}");
        self.ask(Method::PUT, &path, Some(changes)).await;
    }

    /// Removes a webhook, and registers its address again with another token.
    pub(super) async fn replace_webhook(&self, webhook: &Value) {
        let id = webhook["id"].as_str().expect("an id");
        self.ask(Method::DELETE, &format!("/v3/webhooks/{id}"), None)
            .await;
        let mut again = webhook.clone();
        again["authToken"] = json!("a token that an operator typed");
        self.ask(Method::POST, "/v3/webhooks", Some(again)).await;
    }

    /// Waits until a notification has failed.
    pub(super) async fn until_punished(&self) {
        for _ in 0..CHECKS {
            if self.webhooks().await[0]["penalizedRequestsCount"] != 0 {
                return;
            }
        }
        panic!("no notification failed");
    }

    /// Completes a refund that waits for a manual decision, as `done` or `cancelled`.
    pub(super) async fn end_refund(&self, reference: &str, end: &str) {
        let control = Control::new(&self.asaas, "asaas");
        let path = format!("refunds/{reference}/{end}");
        control.post(&path, json!({})).await;
    }
}
