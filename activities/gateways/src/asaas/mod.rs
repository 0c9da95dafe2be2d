//! Asaas: a customer, a payment, and its Pix code in a second call; no idempotency, so that everything is looked for first.
//! `GATEWAYS.md` §4.

use std::time::Duration;

use async_trait::async_trait;
use chrono_tz::America::Sao_Paulo;
use reqwest::{Client, Method, RequestBuilder};
use schemas::{attempt::ErrorClass, payment_method::Kind, route::Unmet};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use crate::{
    Account, ChargeOrder, Endpoints, Gateway, GatewayCharge, GatewayError, GatewayNotice,
    GatewayStatus, NotificationError, Received, Subscription,
    credentials::AsaasCredentials,
    http::{self, Answer, CALL_TIMEOUT, Deadline, Effect},
    money,
};

mod answer;
mod error;
mod notification;
mod payer;
#[cfg(test)]
mod tests;

use answer::{Code, Payment};

const VISIBILITY_LAG: Duration = Duration::from_secs(5);
const PAGE: usize = 100;
/// The most pages of one reference; more than a few objects under one would be a fault of ours.
const MAX_PAGES: usize = 5;
/// Asaas takes nothing smaller by Pix.
const MIN_AMOUNT: i64 = 500;
const MAX_DESCRIPTION: usize = 500;
/// What is told to our address.
const EVENTS: [&str; 12] = [
    "PAYMENT_CREATED",
    "PAYMENT_UPDATED",
    "PAYMENT_CONFIRMED",
    "PAYMENT_RECEIVED",
    "PAYMENT_OVERDUE",
    "PAYMENT_DELETED",
    "PAYMENT_RESTORED",
    "PAYMENT_REFUNDED",
    "PAYMENT_PARTIALLY_REFUNDED",
    "PAYMENT_RECEIVED_IN_CASH",
    "PAYMENT_CHARGEBACK_REQUESTED",
    "PAYMENT_CHARGEBACK_DISPUTE",
];

/// An account at Asaas, in the environment of its key.
pub struct Asaas {
    client: Client,
    base: Url,
    key: SecretString,
    webhook_tokens: Vec<SecretString>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List<T> {
    #[serde(default)]
    has_more: bool,
    data: Vec<T>,
}

#[derive(Deserialize)]
struct Webhook {
    id: String,
    #[serde(default)]
    url: String,
}

impl Asaas {
    pub(crate) fn open(
        credentials: &AsaasCredentials,
        endpoints: &Endpoints,
    ) -> Result<Self, GatewayError> {
        Ok(Self {
            client: http::client(None, None)?,
            base: endpoints.asaas.clone(),
            key: credentials.api_key.clone(),
            webhook_tokens: credentials.webhook_tokens.clone(),
        })
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v3").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.client
            .request(method, url)
            .header("access_token", self.key.expose_secret())
    }

    async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        deadline: Deadline,
    ) -> Result<Answer, GatewayError> {
        checked(
            http::send(
                self.request(Method::GET, path, query),
                deadline,
                Effect::Reads,
            )
            .await?,
            Effect::Reads,
        )
    }

    async fn post(
        &self,
        path: &[&str],
        body: &Value,
        (deadline, effect): (Deadline, Effect),
    ) -> Result<Answer, GatewayError> {
        checked(
            http::send(
                self.request(Method::POST, path, &[]).json(body),
                deadline,
                effect,
            )
            .await?,
            effect,
        )
    }

    /// Everything that carries the reference. Deleted ones too, if Asaas lists them.
    async fn search(
        &self,
        reference: &str,
        deadline: Deadline,
    ) -> Result<Vec<Payment>, GatewayError> {
        let mut found: Vec<Payment> = Vec::new();
        for page in 0..MAX_PAGES {
            let query = [
                ("externalReference", reference.to_owned()),
                ("limit", PAGE.to_string()),
                ("offset", (page * PAGE).to_string()),
            ];
            let list: List<Payment> = self
                .get(&["payments"], &query, deadline)
                .await?
                .read(Effect::Reads)?;
            found.extend(
                list.data
                    .into_iter()
                    .filter(|payment| payment.is_of(reference)),
            );
            if !list.has_more {
                break;
            }
        }
        Ok(found)
    }

    /// The payment in our words, with its code while it can be paid.
    async fn shown(
        &self,
        payment: &Payment,
        order: &ChargeOrder,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let charge = payment.to_charge(None)?;
        if !charge.status.is_payable() {
            return Ok(charge);
        }
        let code: Code = self
            .get(&["payments", &charge.id, "pixQrCode"], &[], deadline)
            .await?
            .read(Effect::Reads)?;
        code.show_in(charge, order.expires_at)
    }

    async fn create(
        &self,
        order: &ChargeOrder,
        deadline: Deadline,
    ) -> Result<Payment, GatewayError> {
        let remembered = order.customer.clone();
        let customer = match &remembered {
            Some(customer) => customer.clone(),
            None => self.customer(&order.payer, deadline).await?,
        };
        match self.create_for(&customer, order, deadline).await {
            // what we remembered is not there any more
            Err(error) if remembered.is_some() && error.code == error::NO_CUSTOMER => {
                let customer = self.customer(&order.payer, deadline).await?;
                self.create_for(&customer, order, deadline).await
            }
            outcome => outcome,
        }
    }

    async fn create_for(
        &self,
        customer: &str,
        order: &ChargeOrder,
        deadline: Deadline,
    ) -> Result<Payment, GatewayError> {
        let mut body = json!({
            "customer": customer,
            "billingType": "PIX",
            "value": money::number(order.amount),
            // Asaas knows no shorter life than a day: our own timer deletes it
            "dueDate": order.expires_at.with_timezone(&Sao_Paulo).format("%Y-%m-%d").to_string(),
            "externalReference": order.reference,
        });
        if let Some(text) = &order.description {
            body["description"] = text
                .chars()
                .take(MAX_DESCRIPTION)
                .collect::<String>()
                .into();
        }
        self.post(&["payments"], &body, (deadline, Effect::Creates))
            .await?
            .read(Effect::Creates)
    }
}

fn checked(answer: Answer, effect: Effect) -> Result<Answer, GatewayError> {
    tracing::debug!(status = answer.status, "asaas");
    if answer.is_success() {
        Ok(answer)
    } else {
        Err(error::of(&answer, effect))
    }
}

#[async_trait]
impl Gateway for Asaas {
    fn accepts(&self, order: &ChargeOrder) -> Result<(), Vec<Unmet>> {
        if order.method.kind() != Kind::Pix || order.method.due().is_some() {
            return Err(vec![Unmet {
                field: "payment_method.type".to_owned(),
                reason: "is not there yet".to_owned(),
            }]);
        }
        if order.amount >= MIN_AMOUNT {
            return Ok(());
        }
        Err(vec![Unmet {
            field: "amount".to_owned(),
            reason: "is at least R$ 5,00".to_owned(),
        }])
    }

    fn idempotent_for(&self, _method: Kind) -> Option<Duration> {
        None
    }

    fn visibility_lag(&self, _method: Kind) -> Duration {
        VISIBILITY_LAG
    }

    async fn charge(
        &self,
        order: &ChargeOrder,
        within: Duration,
    ) -> Result<GatewayCharge, GatewayError> {
        let deadline = Deadline::after(within);
        let before = self.search(&order.reference, deadline).await?;
        let payment = match before.into_iter().find(|payment| !payment.is_deleted()) {
            Some(payment) => payment,
            None => self.create(order, deadline).await?,
        };
        self.shown(&payment, order, deadline)
            .await
            .map_err(GatewayError::after_an_effect)
    }

    async fn find(&self, order: &ChargeOrder) -> Result<Vec<GatewayCharge>, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let mut charges = Vec::new();
        for payment in self.search(&order.reference, deadline).await? {
            charges.push(self.shown(&payment, order, deadline).await?);
        }
        Ok(charges)
    }

    async fn cancel(&self, charge: &GatewayCharge) -> Result<GatewayCharge, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let gone = || GatewayCharge {
            status: GatewayStatus::Canceled,
            next_action: None,
            ..charge.clone()
        };
        let request = self.request(Method::DELETE, &["payments", &charge.id], &[]);
        let deleted = http::send(request, deadline, Effect::Reads)
            .await
            .and_then(|answer| checked(answer, Effect::Reads));
        match deleted {
            Ok(_) => {}
            Err(error) if error::is_absent(&error) => return Ok(gone()),
            // paid or deleted meanwhile
            Err(error) if error.class == ErrorClass::Refused => {}
            Err(error) => return Err(error),
        }
        match self.get(&["payments", &charge.id], &[], deadline).await {
            Ok(answer) => answer.read::<Payment>(Effect::Reads)?.to_charge(None),
            Err(error) if error::is_absent(&error) => Ok(gone()),
            Err(error) => Err(error),
        }
    }

    fn notification(&self, received: &Received) -> Result<Vec<GatewayNotice>, NotificationError> {
        notification::read(received, &self.webhook_tokens)
    }

    async fn probe(&self) -> Result<Account, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        self.get(&["finance", "balance"], &[], deadline).await?;
        let account = match self.get(&["myAccount"], &[], deadline).await {
            Ok(answer) => answer.json()["id"].as_str().map(ToOwned::to_owned),
            Err(_) => None,
        };
        let key = self.key.expose_secret();
        let account = account.unwrap_or_else(|| hex::encode(&Sha256::digest(key.as_bytes())[..8]));
        Ok(Account {
            fingerprint: format!("asaas:{account}"),
            live: Some(key.starts_with("$aact_prod_")),
        })
    }

    async fn subscribe(&self, url: &Url, _replace: bool) -> Result<Subscription, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let body = json!({
            "name": "payment-orchestrator",
            "url": url.as_str(),
            "enabled": true,
            "interrupted": false,
            "apiVersion": 3,
            "authToken": token,
            "sendType": "SEQUENTIALLY",
            "events": EVENTS,
        });
        let query = [("limit", PAGE.to_string())];
        let known: List<Webhook> = self
            .get(&["webhooks"], &query, deadline)
            .await?
            .read(Effect::Reads)?;
        match known
            .data
            .iter()
            .find(|webhook| webhook.url == url.as_str())
        {
            Some(ours) => {
                let request = self
                    .request(Method::PUT, &["webhooks", &ours.id], &[])
                    .json(&body);
                checked(
                    http::send(request, deadline, Effect::Reads).await?,
                    Effect::Reads,
                )?;
            }
            None => {
                self.post(&["webhooks"], &body, (deadline, Effect::Reads))
                    .await?;
            }
        }
        Ok(Subscription::Secret(token))
    }
}
