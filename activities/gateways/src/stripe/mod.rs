//! Stripe: `PaymentIntent`s with Pix, under idempotency keys. `GATEWAYS.md` §3.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Method, RequestBuilder, header};
use schemas::{
    attempt::ErrorClass,
    payment_method::{Kind, PaymentMethod},
    route::Unmet,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use crate::{
    Account, ChargeOrder, Endpoints, Gateway, GatewayCharge, GatewayError, GatewayNotice,
    NotificationError, Received, Subscription,
    credentials::StripeCredentials,
    http::{self, Answer, CALL_TIMEOUT, Deadline, Effect},
};

mod answer;
mod error;
mod notification;
#[cfg(test)]
mod tests;

use answer::Intent;

/// The version that our requests and answers are written for.
const VERSION: &str = "2026-10-28.endive";
/// Keys are kept for at least a day; an hour is left for clocks and retries.
const IDEMPOTENT_FOR: Duration = Duration::from_secs(23 * 60 * 60);
const VISIBILITY_LAG: Duration = Duration::from_secs(2);
/// How far before an order's making a search begins, for clocks that differ, in seconds.
const SEARCH_MARGIN_S: i64 = 60;
const PAGE: &str = "100";
/// The most pages of a search; a busier account than this cannot be searched in time.
const MAX_PAGES: usize = 10;
/// Pix at Stripe: from R$ 0,50.
const MIN_AMOUNT: i64 = 50;
/// What is told to our address.
const EVENTS: [&str; 6] = [
    "payment_intent.created",
    "payment_intent.requires_action",
    "payment_intent.processing",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
];

/// An account at Stripe, in the mode of its key.
pub struct Stripe {
    client: Client,
    base: Url,
    key: SecretString,
    webhook_secrets: Vec<SecretString>,
}

/// A form's fields, in brackets where they are nested.
type Form<'a> = Vec<(&'a str, String)>;

impl Stripe {
    pub(crate) fn open(
        credentials: &StripeCredentials,
        endpoints: &Endpoints,
    ) -> Result<Self, GatewayError> {
        Ok(Self {
            client: http::client(None, None)?,
            base: endpoints.stripe.clone(),
            key: credentials.secret_key.clone(),
            webhook_secrets: credentials.webhook_secrets.clone(),
        })
    }

    fn is_live(&self) -> bool {
        self.key.expose_secret().contains("_live_")
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.client
            .request(method, url)
            .bearer_auth(self.key.expose_secret())
            .header("stripe-version", VERSION)
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
        form: &Form<'_>,
        key: Option<&str>,
        (deadline, effect): (Deadline, Effect),
    ) -> Result<Answer, GatewayError> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut request = self
            .request(Method::POST, path, &[])
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        checked(http::send(request, deadline, effect).await?, effect)
    }

    /// An intent as it stands now, with its charge inside.
    async fn read(&self, id: &str, deadline: Deadline) -> Result<Intent, GatewayError> {
        let expand = [("expand[]", "latest_charge.balance_transaction".to_owned())];
        self.get(&["payment_intents", id], &expand, deadline)
            .await?
            .read(Effect::Reads)
    }
}

fn checked(answer: Answer, effect: Effect) -> Result<Answer, GatewayError> {
    tracing::debug!(status = answer.status, "stripe");
    if answer.is_success() {
        Ok(answer)
    } else {
        Err(error::of(&answer, effect))
    }
}

/// The creating request: a function of the order alone, so that a repeat is the same to the byte.
fn form(order: &ChargeOrder) -> Form<'static> {
    let PaymentMethod::Pix { expires_in, .. } = order.method else {
        return Form::new();
    };
    let mut form = vec![
        ("amount", order.amount.to_string()),
        ("currency", "brl".to_owned()),
        ("confirm", "true".to_owned()),
        ("payment_method_types[0]", "pix".to_owned()),
        ("payment_method_data[type]", "pix".to_owned()),
        (
            "payment_method_data[billing_details][name]",
            order.payer.name.clone(),
        ),
        (
            "payment_method_options[pix][expires_after_seconds]",
            expires_in.to_string(),
        ),
        ("metadata[reference]", order.reference.clone()),
    ];
    if let Some(email) = &order.payer.email {
        form.push(("payment_method_data[billing_details][email]", email.clone()));
    }
    if let Some(description) = &order.description {
        form.push(("description", description.clone()));
    }
    form
}

#[derive(Deserialize)]
struct List<T> {
    #[serde(default)]
    has_more: bool,
    data: Vec<T>,
}

#[derive(Deserialize)]
struct WebhookEndpoint {
    id: String,
    #[serde(default)]
    url: String,
    secret: Option<String>,
}

#[async_trait]
impl Gateway for Stripe {
    fn accepts(&self, order: &ChargeOrder) -> Result<(), Vec<Unmet>> {
        if order.method.kind() != Kind::Pix || order.method.due().is_some() {
            return Err(vec![Unmet {
                field: "payment_method.type".to_owned(),
                reason: "is not there yet".to_owned(),
            }]);
        }
        let mut unmet = Vec::new();
        if order.payer.email.is_none() {
            unmet.push(Unmet {
                field: "payer.email".to_owned(),
                reason: "is required".to_owned(),
            });
        }
        if order.amount < MIN_AMOUNT {
            unmet.push(Unmet {
                field: "amount".to_owned(),
                reason: "is at least R$ 0,50".to_owned(),
            });
        }
        if unmet.is_empty() { Ok(()) } else { Err(unmet) }
    }

    fn idempotent_for(&self, _method: Kind) -> Option<Duration> {
        Some(IDEMPOTENT_FOR)
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
        let asked = (deadline, Effect::Creates);
        let answer = self
            .post(
                &["payment_intents"],
                &form(order),
                Some(&order.reference),
                asked,
            )
            .await?;
        let replayed = answer
            .headers
            .get("idempotent-replayed")
            .is_some_and(|value| value == "true");
        let intent: Intent = answer.read(Effect::Creates)?;
        // a replayed answer shows the first state
        let intent = if replayed {
            self.read(&intent.id, deadline)
                .await
                .map_err(GatewayError::after_an_effect)?
        } else {
            intent
        };
        intent.to_charge().map_err(GatewayError::after_an_effect)
    }

    async fn find(&self, order: &ChargeOrder) -> Result<Vec<GatewayCharge>, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let since = order.created_at.timestamp() - SEARCH_MARGIN_S;
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut query = vec![
                ("created[gte]", since.to_string()),
                ("limit", PAGE.to_owned()),
            ];
            query.extend(after.take().map(|id| ("starting_after", id)));
            let page: List<Intent> = self
                .get(&["payment_intents"], &query, deadline)
                .await?
                .read(Effect::Reads)?;
            after = page.data.last().map(|intent| intent.id.clone());
            for listed in page
                .data
                .into_iter()
                .filter(|intent| intent.reference() == Some(&order.reference))
            {
                found.push(self.read(&listed.id, deadline).await?.to_charge()?);
            }
            if !page.has_more {
                return Ok(found);
            }
        }
        if found.is_empty() {
            return Err(GatewayError::new(
                ErrorClass::Unknown,
                "too_many",
                "the account makes too many charges to be searched",
            ));
        }
        Ok(found)
    }

    async fn cancel(&self, charge: &GatewayCharge) -> Result<GatewayCharge, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let form = vec![("cancellation_reason", "abandoned".to_owned())];
        match self
            .post(
                &["payment_intents", &charge.id, "cancel"],
                &form,
                None,
                (deadline, Effect::Reads),
            )
            .await
        {
            Ok(_) => {}
            // paid or canceled meanwhile
            Err(error) if error.code == error::UNEXPECTED_STATE => {}
            Err(error) => return Err(error),
        }
        self.read(&charge.id, deadline).await?.to_charge()
    }

    fn notification(&self, received: &Received) -> Result<Vec<GatewayNotice>, NotificationError> {
        notification::read(received, &self.webhook_secrets, self.is_live())
    }

    async fn probe(&self) -> Result<Account, GatewayError> {
        #[derive(Deserialize)]
        struct Balance {
            livemode: bool,
        }
        let deadline = Deadline::after(CALL_TIMEOUT);
        let balance: Balance = self
            .get(&["balance"], &[], deadline)
            .await?
            .read(Effect::Reads)?;
        // a restricted key may not read its account: then the key stands for it
        let account = match self.get(&["account"], &[], deadline).await {
            Ok(answer) => answer.json()["id"].as_str().map(ToOwned::to_owned),
            Err(_) => None,
        };
        let account = account.unwrap_or_else(|| {
            hex::encode(&Sha256::digest(self.key.expose_secret().as_bytes())[..8])
        });
        Ok(Account {
            fingerprint: format!("stripe:{account}"),
            live: Some(balance.livemode),
        })
    }

    async fn subscribe(&self, url: &Url, _replace: bool) -> Result<Subscription, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let query = [("limit", PAGE.to_owned())];
        let known: List<WebhookEndpoint> = self
            .get(&["webhook_endpoints"], &query, deadline)
            .await?
            .read(Effect::Reads)?;
        // the secret is told only at creation: ours is made anew
        for ours in known
            .data
            .iter()
            .filter(|endpoint| endpoint.url == url.as_str())
        {
            let request = self.request(Method::DELETE, &["webhook_endpoints", &ours.id], &[]);
            checked(
                http::send(request, deadline, Effect::Reads).await?,
                Effect::Reads,
            )?;
        }
        let mut form = vec![
            ("url", url.to_string()),
            ("api_version", VERSION.to_owned()),
        ];
        form.extend(EVENTS.map(|event| ("enabled_events[]", event.to_owned())));
        let made = self
            .post(
                &["webhook_endpoints"],
                &form,
                None,
                (deadline, Effect::Reads),
            )
            .await?;
        let endpoint: WebhookEndpoint = made.read(Effect::Reads)?;
        let secret = endpoint.secret.ok_or_else(|| {
            GatewayError::new(
                ErrorClass::Unknown,
                "unreadable",
                "the new notification address came without its secret",
            )
        })?;
        Ok(Subscription::Secret(secret))
    }
}
