//! Client of our API, as a merchant calls it.

use reqwest::{Client, Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use crate::eventually;

/// A merchant's client.
#[derive(Clone)]
pub struct Api {
    pub base: Url,
    pub key: String,
    client: Client,
}

/// An answer with its body as JSON.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// Returns the body of an answer that must have this status.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }
}

impl Api {
    /// Returns a client with that key.
    pub fn new(base: Url, key: impl Into<String>) -> Self {
        Self {
            base,
            key: key.into(),
            client: crate::http(),
        }
    }

    /// Sends a request, under an `Idempotency-Key` if one is given.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let url = self.base.join(path).expect("a path");
        let mut request = self.client.request(method, url).bearer_auth(&self.key);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.expect("the API answers");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.expect("a body");
        Answer {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(
            Method::POST,
            path,
            Some(&Uuid::new_v4().to_string()),
            Some(body),
        )
        .await
    }

    /// Creates a charge that must be accepted.
    pub async fn charge(&self, body: &Value) -> Value {
        self.post("/v1/charges", body).await.expect(201)
    }

    /// Returns the charge.
    pub async fn show(&self, id: &str) -> Value {
        self.get(&format!("/v1/charges/{id}")).await.expect(200)
    }

    /// Waits until the charge has that status.
    pub async fn until(&self, id: &str, status: &str) -> Value {
        eventually(&format!("{id} becomes {status}"), || async {
            let charge = self.show(id).await;
            if charge["status"] == status {
                Ok(charge)
            } else {
                Err(charge["status"].clone())
            }
        })
        .await
    }

    /// Returns the events of a query, newest first, once there are at least `at_least`. The list shows an event once no older transaction,
    /// another test's included, could still add one before it.
    pub async fn events(&self, query: &str, at_least: usize) -> Vec<Value> {
        eventually(&format!("{at_least} events of {query}"), || async {
            let page = self.get(&format!("/v1/events?{query}")).await.expect(200);
            let events = page["data"].as_array().cloned().unwrap_or_default();
            if events.len() >= at_least {
                Ok(events)
            } else {
                Err(page)
            }
        })
        .await
    }

    /// Returns a charge's timeline entries of one type.
    pub async fn timeline(&self, id: &str, kind: &str) -> Vec<Value> {
        let timeline = self
            .get(&format!("/v1/charges/{id}/timeline"))
            .await
            .expect(200);
        let entries = timeline["data"].as_array().cloned().unwrap_or_default();
        entries
            .into_iter()
            .filter(|entry| entry["type"] == kind)
            .collect()
    }

    /// Returns a charge's attempts, first to last.
    pub async fn attempts(&self, id: &str) -> Vec<Value> {
        self.timeline(id, "attempt")
            .await
            .into_iter()
            .map(|entry| entry["attempt"].clone())
            .collect()
    }

    /// Waits until the attempts have these states.
    pub async fn until_attempts(&self, id: &str, states: &[&str]) -> Vec<Value> {
        eventually(&format!("the attempts of {id} are {states:?}"), || async {
            let attempts = self.attempts(id).await;
            let found: Vec<_> = attempts
                .iter()
                .map(|a| a["state"].as_str().unwrap_or_default().to_owned())
                .collect();
            if found == states {
                Ok(attempts)
            } else {
                Err(found)
            }
        })
        .await
    }
}

/// Returns a request for a Pix charge of R$ 123,45 for Maria, whose name and document must not appear in logs.
pub fn pix() -> Value {
    json!({
        "amount": 12345,
        "description": "Pedido 123",
        "payer": { "name": PAYER_NAME, "document": PAYER_DOCUMENT, "email": PAYER_EMAIL },
        "payment_method": { "type": "pix", "expires_in": 3600 },
    })
}

/// Name and document of the payer in every charge of the tests.
pub const PAYER_NAME: &str = "Maria Quitéria Zzyzx";
pub const PAYER_DOCUMENT: &str = "52998224725";
pub const PAYER_EMAIL: &str = "quiteria.zzyzx@example.com";

/// Returns a payer with every field that a boleto requires at any gateway.
fn full_payer() -> Value {
    json!({
        "name": PAYER_NAME, "document": PAYER_DOCUMENT, "email": PAYER_EMAIL, "phone": "11987654321",
        "address": {
            "street": "Avenida Paulista", "number": "1000", "district": "Bela Vista", "city": "Sao Paulo", "state": "SP",
            "postal_code": "01310100",
        },
    })
}

/// Returns a business day in the near future.
fn due_date() -> String {
    let now = std::time::SystemTime::now().into();
    let day = schemas::calendar::today(now) + chrono::Days::new(10);
    schemas::calendar::business_day_from(day).to_string()
}

/// Returns the request of [`pix`] by boleto.
pub fn boleto() -> Value {
    json!({
        "amount": 12345,
        "description": "Pedido 123",
        "payer": full_payer(),
        "payment_method": { "type": "boleto", "due_date": due_date() },
    })
}

/// Returns the request of [`pix`] by card link.
pub fn card() -> Value {
    json!({
        "amount": 12345,
        "description": "Pedido 123",
        "payer": full_payer(),
        "payment_method": {
            "type": "card", "success_url": "https://shop.example.com/ok", "cancel_url": "https://shop.example.com/no",
        },
    })
}

/// Returns the request of [`pix`] with a due date.
pub fn due_pix() -> Value {
    json!({
        "amount": 12345,
        "description": "Pedido 123",
        "payer": full_payer(),
        "payment_method": { "type": "pix", "due": { "due_date": due_date(), "days_after_due": 30 } },
    })
}
