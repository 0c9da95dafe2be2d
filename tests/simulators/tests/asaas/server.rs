//! Simulator of a single test, and a client for it.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use simulators::{Options, Simulators};

/// Valid CPF.
pub(crate) const CPF: &str = "24971563792";

pub(crate) struct TestServer {
    pub simulators: Simulators,
    pub http: Client,
}

pub(crate) fn client() -> Client {
    let client = Client::builder().no_proxy().user_agent("tests");
    client.build().expect("a client")
}

impl TestServer {
    pub(crate) async fn open() -> Self {
        let simulators = simulators::start(Options::for_test(7))
            .await
            .expect("simulators");
        let http = client();
        // clearing the faults returns after the sockets accept connections
        let heal = simulators.control.join("/_sim/asaas/faults");
        let healed = http.delete(heal.expect("a URL")).send().await;
        assert!(healed.is_ok_and(|answer| answer.status().is_success()));
        Self { simulators, http }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!(
            "{}{}",
            self.simulators.plain_url("asaas"),
            path.trim_start_matches('/')
        )
    }

    /// Sends a request and returns status and body. An empty body is `null`.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.request(method, self.url(path));
        let request = request.header("access_token", "$aact_hmlg_loja");
        let request = match body {
            Value::Null => request,
            body => request.json(&body),
        };
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, path, body).await
    }

    /// Sends a GET that succeeds and returns the body.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, json) = self.call(Method::GET, path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {json}");
        json
    }

    /// Sends a POST that succeeds and returns the body.
    pub(crate) async fn make(&self, path: &str, body: Value) -> Value {
        let (status, json) = self.post(path, body).await;
        assert_eq!(status, 200, "{path}: {json}");
        json
    }

    /// Sends a POST that is refused and returns the error's code.
    pub(crate) async fn refused(&self, path: &str, body: Value) -> String {
        let (status, json) = self.post(path, body).await;
        assert_eq!(status, 400, "{path}: {json}");
        let errors = json["errors"].as_array().expect("errors");
        assert_eq!(errors.len(), 1, "one error");
        let description = errors[0]["description"].as_str();
        assert!(description.is_some_and(|text| !text.is_empty()), "{json}");
        errors[0]["code"].as_str().expect("a code").to_owned()
    }

    pub(crate) async fn customer(&self) -> String {
        let customer = json!({ "name": "Ana", "cpfCnpj": CPF, "notificationDisabled": true });
        id(&self.make("/v3/customers", customer).await)
    }

    /// Creates a charge of R$ 100 that is due in five days. `more` adds or replaces fields.
    pub(crate) async fn charge(&self, billing: &str, more: Value) -> Value {
        self.make("/v3/payments", self.order(billing, more).await)
            .await
    }

    pub(crate) async fn order(&self, billing: &str, more: Value) -> Value {
        let mut order = json!({
            "customer": self.customer().await, "billingType": billing, "value": 100, "dueDate": Self::day(5),
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            order[name] = value.clone();
        }
        order
    }

    /// Returns the date that is `days` after today in São Paulo.
    pub(crate) fn day(days: i64) -> String {
        let now: chrono::DateTime<chrono::Utc> = std::time::SystemTime::now().into();
        let today = now.with_timezone(&chrono_tz::America::Sao_Paulo);
        let day = today.date_naive() + chrono::TimeDelta::days(days);
        day.to_string()
    }

    /// Calls the control API and returns status and body.
    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.call(method, &format!("/_sim/asaas/{path}"), body)
            .await
    }

    pub(crate) async fn act(&self, charge: &Value, action: &str, how: Value) {
        let path = format!("charges/{}/{action}", id(charge));
        let (status, json) = self.control(Method::POST, &path, how).await;
        assert_eq!(status, 200, "{path}: {json}");
    }

    pub(crate) async fn set(&self, settings: Value) {
        let (status, json) = self.control(Method::PUT, "settings", settings).await;
        assert_eq!(status, 200, "{json}");
    }

    pub(crate) async fn advance(&self, days: i64) {
        let by = json!({ "advance_s": days * 86_400 });
        self.control(Method::POST, "clock", by).await;
    }

    pub(crate) async fn held(&self) -> Vec<Value> {
        let (_, json) = self.control(Method::GET, "charges", Value::Null).await;
        json["charges"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) async fn status(&self, charge: &Value) -> String {
        let path = format!("/v3/payments/{}/status", id(charge));
        let status = self.get(&path).await;
        status["status"].as_str().expect("a status").to_owned()
    }
}

pub(crate) fn id(json: &Value) -> String {
    json["id"].as_str().expect("an id").to_owned()
}
