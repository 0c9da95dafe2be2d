//! Control API of a simulator: see the simulators' README.

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use url::Url;

pub(crate) struct Control {
    base: Url,
    client: Client,
}

impl Control {
    pub(crate) fn new(control: &Url, gateway: &str) -> Self {
        Self {
            base: control
                .join(&format!("/_sim/{gateway}/"))
                .expect("an address"),
            client: gateways::http::webhook_client(true).expect("a client"),
        }
    }

    fn at(&self, path: &str) -> Url {
        self.base.join(path).expect("an address")
    }

    async fn ask(&self, request: RequestBuilder) -> Value {
        let answer = request.send().await.expect("the control answers");
        let (status, url) = (answer.status(), answer.url().clone());
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "{url}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.ask(self.client.post(self.at(path)).json(&body)).await
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(self.client.get(self.at(path))).await
    }

    /// Returns the charges created with the reference.
    pub(crate) async fn charges(&self, reference: &str) -> Vec<Value> {
        let all = self.get(&format!("charges?reference={reference}")).await;
        all["charges"].as_array().cloned().unwrap_or_default()
    }

    /// Applies an action to a charge: `pay`, `refund`, `dispute`…
    pub(crate) async fn act(&self, reference: &str, action: &str, how: Value) {
        self.post(&format!("charges/{reference}/{action}"), how)
            .await;
    }

    /// Pays the charge as its payer. The simulator notifies our address, if there is one.
    pub(crate) async fn pay(&self, reference: &str) {
        self.act(reference, "pay", json!({})).await;
    }

    /// Adds a fault for requests of that method and beginning of the path.
    pub(crate) async fn fault(&self, kind: &str, of: (&str, &str), more: Value) {
        let mut fault = json!({ "kind": kind, "method": of.0, "path": of.1 });
        for (name, value) in more.as_object().into_iter().flatten() {
            fault[name.as_str()] = value.clone();
        }
        self.post("faults", fault).await;
    }

    /// Makes the simulator refuse all connections.
    pub(crate) async fn down(&self) {
        self.post("faults", json!({ "kind": "down" })).await;
    }

    /// Makes the simulator answer requests of that method and beginning with `status`, until healed or as often as `more` specifies.
    pub(crate) async fn answer(&self, of: (&str, &str), status: u16, more: Value) {
        let mut fault = more;
        fault["status"] = status.into();
        self.fault("status", of, fault).await;
    }

    /// Returns the number of requests of that method and beginning.
    pub(crate) async fn count(&self, (method, path): (&str, &str)) -> usize {
        let came = self.get("requests").await;
        let all = came["requests"].as_array().cloned().unwrap_or_default();
        let is_one = |one: &&Value| {
            let at = one["path"].as_str().unwrap_or_default();
            one["method"] == method && at.starts_with(path)
        };
        all.iter().filter(is_one).count()
    }

    /// Removes all faults.
    pub(crate) async fn heal(&self) {
        self.ask(self.client.delete(self.at("faults"))).await;
    }

    pub(crate) async fn set(&self, settings: Value) {
        self.ask(self.client.put(self.at("settings")).json(&settings))
            .await;
    }

    /// Advances the gateway's clock and triggers all that is then due.
    pub(crate) async fn advance(&self, seconds: i64) {
        self.post("clock", json!({ "advance_s": seconds })).await;
    }

    /// Sends all earlier notifications again.
    pub(crate) async fn resend_all(&self) {
        let reported = self.get("notifications").await;
        for one in reported["notifications"].as_array().into_iter().flatten() {
            self.post(&format!("notifications/{}/resend", one["n"]), json!({}))
                .await;
        }
    }
}
