//! One purchase by a client that retries: it repeats the request under the same idempotency key until it is answered, then the payer pays
//! the presented instrument.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tests::{Api, Simulator, api::pix};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Time after which a client stops retrying.
const PATIENCE: Duration = Duration::from_mins(3);
/// Timeout of one request; longer than the API makes a caller wait.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Wait before the first retry; it doubles each time up to [`AGAIN_LONGEST`].
const AGAIN: Duration = Duration::from_millis(250);
const AGAIN_LONGEST: Duration = Duration::from_secs(2);
/// Time between the presentation of the code and its payment.
const PAYER_THINKS: Duration = Duration::from_millis(200);
/// One in this many charges: a request to Efí takes effect and its answer is lost.
const ANSWER_LOST_EVERY: u32 = 15;
/// One in this many charges is not paid; it is canceled at the end.
const LEFT_OPEN_EVERY: u32 = 8;
/// Of those, one in this many cannot be looked up either: the charge fails over and leaves an orphan.
const LOOK_UP_FAILS_EVERY: u32 = 45;

/// A requested sale.
#[derive(Debug)]
pub(crate) struct Purchase {
    pub description: String,
    pub key: String,
    /// The payer does not pay; the sale is canceled at the end.
    pub left_open: bool,
    /// Id of the charge, if any answer contained one.
    pub charge: Option<String>,
    /// Status in the first answer that contained a charge.
    pub first_status: String,
    pub tries: u32,
    pub started: Instant,
    /// Time until the answer.
    pub took: Duration,
    /// Error that ended the purchase early.
    pub wrong: Option<String>,
}

/// Client that buys and pays. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Buyer {
    api: Api,
    simulators: Vec<Simulator>,
    http: Client,
}

impl Buyer {
    pub(crate) fn new(api: &Api, simulators: &[Simulator]) -> Self {
        Self {
            api: api.clone(),
            simulators: simulators.to_vec(),
            http: tests::http(),
        }
    }

    /// Makes the `n`th purchase.
    pub(crate) async fn buy(self, n: u32) -> Purchase {
        self.disturb(n).await;
        let mut purchase = Purchase {
            description: format!("chaos {n}"),
            key: Uuid::new_v4().to_string(),
            left_open: n.is_multiple_of(LEFT_OPEN_EVERY),
            charge: None,
            first_status: String::new(),
            tries: 0,
            started: Instant::now(),
            took: Duration::ZERO,
            wrong: None,
        };
        let outcome = self.ask_and_pay(&mut purchase).await;
        purchase.wrong = outcome.err();
        purchase
    }

    async fn disturb(&self, n: u32) {
        let Some(efi) = self.simulators.iter().find(|one| one.gateway == "efi") else {
            return;
        };
        if n.is_multiple_of(ANSWER_LOST_EVERY) {
            efi.fault(
                json!({ "kind": "reset_after", "method": "PUT", "path": "/v2/cob", "times": 1 }),
            )
            .await;
        }
        if n.is_multiple_of(LOOK_UP_FAILS_EVERY) {
            efi.fault(json!({ "kind": "status", "method": "GET", "path": "/v2/cob", "times": 4 }))
                .await;
        }
    }

    async fn ask_and_pay(&self, purchase: &mut Purchase) -> Result<(), String> {
        let mut charge = self.ask(purchase).await?;
        purchase.took = purchase.started.elapsed();
        let id = charge["id"].as_str().unwrap_or_default().to_owned();
        charge["status"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut purchase.first_status);
        purchase.charge = Some(id.clone());
        while charge["status"] == "processing" {
            in_time(purchase)?;
            sleep(AGAIN).await;
            let path = format!("v1/charges/{id}");
            if let Ok((StatusCode::OK, shown)) = self.send(self.http.get(self.url(&path))).await {
                charge = shown;
            }
        }
        if charge["status"] == "pending" && !purchase.left_open {
            sleep(PAYER_THINKS).await;
            self.pay(&purchase.description, &charge["gateway"]["kind"])
                .await?;
        }
        Ok(())
    }

    async fn ask(&self, purchase: &mut Purchase) -> Result<Value, String> {
        let mut body = pix();
        body["description"] = purchase.description.clone().into();
        let mut wait = AGAIN;
        loop {
            in_time(purchase)?;
            purchase.tries += 1;
            let asked = self
                .http
                .post(self.url("v1/charges"))
                .header("idempotency-key", &purchase.key)
                .json(&body);
            match self.send(asked).await {
                Ok((StatusCode::CREATED, charge)) => return Ok(charge),
                Ok((status, body)) if !status.is_server_error() => {
                    return Err(format!("answered {status}: {body}"));
                }
                Ok(_) | Err(_) => sleep(wait).await,
            }
            wait = AGAIN_LONGEST.min(wait * 2);
        }
    }

    /// Cancels a sale that was left open; retries while the answer is that an attempt is in progress.
    pub(crate) async fn cancel(&self, purchase: &Purchase) -> Result<(), String> {
        let id = purchase.charge.as_deref().unwrap_or_default();
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let asked = self.http.post(self.url(&format!("v1/charges/{id}/cancel")));
            match self.send(asked).await {
                Ok((StatusCode::OK, charge)) if charge["status"] == "canceled" => return Ok(()),
                Ok((status, body)) if status.is_client_error() || status.as_u16() == 200 => {
                    return Err(format!("{id}: answered {status}: {body}"));
                }
                Ok(_) | Err(_) => sleep(AGAIN).await,
            }
        }
        Err(format!("{id}: its cancel has no end"))
    }

    async fn send(&self, asked: reqwest::RequestBuilder) -> reqwest::Result<(StatusCode, Value)> {
        let answer = asked
            .bearer_auth(&self.api.key)
            .timeout(TIMEOUT)
            .send()
            .await?;
        let status = answer.status();
        Ok((status, answer.json().await?))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.api.base)
    }

    /// Pays the instrument that was presented.
    async fn pay(&self, description: &str, gateway: &Value) -> Result<(), String> {
        let shown = self
            .simulators
            .iter()
            .find(|simulator| *gateway == simulator.gateway);
        let Some(simulator) = shown else {
            return Err(format!("pending, and the gateway is {gateway}"));
        };
        let payable = simulator.payable_about(description).await;
        let [charge] = payable.as_slice() else {
            return Err(format!("{} are payable at {gateway}", payable.len()));
        };
        simulator
            .pay(charge["reference"].as_str().unwrap_or_default())
            .await;
        Ok(())
    }
}

fn in_time(purchase: &Purchase) -> Result<(), String> {
    if purchase.started.elapsed() < PATIENCE {
        Ok(())
    } else {
        Err(format!(
            "no end after {PATIENCE:?}, {} tries",
            purchase.tries
        ))
    }
}
