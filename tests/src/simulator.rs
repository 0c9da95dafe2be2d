//! Client of a simulator's control API.

use reqwest::Client;
use serde_json::{Value, json};
use url::Url;

/// One simulated gateway: `efi`, `stripe` or `asaas`.
#[derive(Clone)]
pub struct Simulator {
    control: Url,
    pub gateway: &'static str,
    client: Client,
}

impl Simulator {
    pub fn new(control: Url, gateway: &'static str) -> Self {
        Self {
            control,
            gateway,
            client: crate::http(),
        }
    }

    fn url(&self, path: &str) -> Url {
        self.control
            .join(&format!("/_sim/{}/{path}", self.gateway))
            .expect("a path")
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self
            .client
            .post(self.url(path))
            .json(body)
            .send()
            .await
            .expect("the control answers");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self
            .client
            .get(self.url(path))
            .send()
            .await
            .expect("the control answers");
        answer.json().await.expect("JSON")
    }

    /// Returns all charges that were created at this gateway.
    pub async fn charges(&self) -> Vec<Value> {
        self.get("charges").await["charges"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// Returns the charges with that description. It must consist of letters, digits and hyphens.
    pub async fn about(&self, description: &str) -> Vec<Value> {
        self.get(&format!("charges?description={description}"))
            .await["charges"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// Returns the charges that a payer could pay.
    pub async fn payable(&self) -> Vec<Value> {
        self.charges()
            .await
            .into_iter()
            .filter(|charge| charge["payable"] == true)
            .collect()
    }

    /// Returns the payable charges with that description.
    pub async fn payable_about(&self, description: &str) -> Vec<Value> {
        let all = self.payable().await;
        all.into_iter()
            .filter(|charge| charge["description"] == description)
            .collect()
    }

    /// Pays a charge, as its payer does.
    pub async fn pay(&self, reference: &str) {
        self.post(&format!("charges/{reference}/pay"), &json!({}))
            .await;
    }

    /// Returns the reference of the only charge.
    pub async fn only_reference(&self) -> String {
        let charges = self.charges().await;
        assert_eq!(charges.len(), 1, "{charges:?}");
        charges[0]["reference"]
            .as_str()
            .expect("a reference")
            .to_owned()
    }

    /// Runs any action of the control API on a charge.
    pub async fn act(&self, reference: &str, action: &str, how: &Value) {
        self.post(&format!("charges/{reference}/{action}"), how)
            .await;
    }

    /// Pays a charge without sending a notification.
    pub async fn pay_silently(&self, reference: &str) {
        self.post(
            &format!("charges/{reference}/pay"),
            &json!({ "notify": false }),
        )
        .await;
    }

    /// Sets a fault from now on: see the simulators' README.
    pub async fn fault(&self, fault: Value) {
        self.post("faults", &fault).await;
    }

    /// Removes all faults.
    pub async fn heal(&self) {
        let answer = self
            .client
            .delete(self.url("faults"))
            .send()
            .await
            .expect("the control answers");
        assert!(answer.status().is_success());
    }

    /// Resets the simulator: the gateway loses its charges.
    pub async fn forget(&self) {
        let answer = self
            .client
            .post(self.url("reset"))
            .send()
            .await
            .expect("the control answers");
        assert!(answer.status().is_success());
    }

    /// Refuses connections from now on.
    pub async fn down(&self) {
        self.fault(json!({ "kind": "down" })).await;
    }

    /// Changes the simulator's settings.
    pub async fn set(&self, settings: Value) {
        let answer = self
            .client
            .put(self.url("settings"))
            .json(&settings)
            .send()
            .await
            .expect("the control answers");
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap_or_default()
        );
    }

    /// Returns the requests that the simulator received.
    pub async fn requests(&self) -> Vec<Value> {
        self.get("requests").await["requests"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// Returns the notifications that the simulator sent.
    pub async fn notifications(&self) -> Vec<Value> {
        self.get("notifications").await["notifications"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// Sends a notification again.
    pub async fn resend(&self, notification: &Value) {
        self.post(
            &format!("notifications/{}/resend", notification["n"]),
            &json!({}),
        )
        .await;
    }

    /// Sends a notification without a valid proof.
    pub async fn forge(&self, url: &str, body: &Value) {
        self.post("notify", &json!({ "url": url, "body": body }))
            .await;
    }
}
