//! Stripe: `PaymentIntent`s with Pix and boleto, hosted pages with cards, under idempotency keys. `docs/gateways/stripe.md`.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Client;
use schemas::{attempt::ErrorClass, payment_method::PaymentMethodKind, route::Unmet};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;

use crate::{
    Account, ChargeLookup, ChargeRequest, CheckReport, Endpoints, Entries, Feed, Forged, Gateway,
    GatewayCharge, GatewayError, GatewayRefund, Page, ReadFrom, Received, RefundRequest,
    Registration, Subscription,
    credentials::StripeCredentials,
    http::{self, Answer, CALL_TIMEOUT, Deadline, Effect},
};

mod accepts;
mod action;
mod booking;
mod call;
mod charge;
mod dispute;
mod endpoint;
mod error;
mod event;
mod form;
mod intent;
mod listing;
mod notification;
mod read;
mod refund;
mod search;
mod session;
#[cfg(test)]
mod tests;

use call::{is_replayed, unreadable};
use intent::Intent;
use listing::Listings;
pub(crate) use refund::refundable;
use search::Searches;
use session::Session;

/// Time for which a key is idempotent: Stripe stores keys for at least a day, minus an hour for clock differences and retries.
const IDEMPOTENT_FOR: Duration = Duration::from_hours(23);
const VISIBILITY_LAG: Duration = Duration::from_secs(2);

/// Stripe account, in the mode of its key.
pub struct Stripe {
    client: Client,
    base: Url,
    key: SecretString,
    webhook_secrets: Vec<SecretString>,
    searches: Searches,
    listings: Listings,
}

impl Stripe {
    pub(crate) fn open(
        credentials: &StripeCredentials,
        endpoints: &Endpoints,
    ) -> Result<Self, GatewayError> {
        Ok(Self {
            client: http::shared()?,
            base: endpoints.stripe.clone(),
            key: credentials.secret_key.clone(),
            webhook_secrets: credentials.webhook_secrets.clone(),
            searches: Searches::default(),
            listings: Listings::default(),
        })
    }

    fn is_live(&self) -> bool {
        self.key.expose_secret().contains("_live_")
    }

    /// Returns the charge of a create request's answer. A replayed answer contains the first state, so the charge is read again.
    async fn created(
        &self,
        order: &ChargeRequest,
        answer: &Answer,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let replayed = is_replayed(answer);
        let charge = if order.method.kind() == PaymentMethodKind::Card {
            let session: Session = answer.read(Effect::Creates)?;
            if replayed {
                self.session(&session.id, deadline).await?
            } else {
                session.to_charge()?
            }
        } else {
            let intent: Intent = answer.read(Effect::Creates)?;
            if replayed {
                self.intent(&intent.id, deadline).await?
            } else {
                intent.to_charge()?
            }
        };
        if charge.status.is_payable() && charge.next_action.is_none() {
            return Err(unreadable(
                "the charge came without what to show to the payer",
            ));
        }
        Ok(read::within(order.expires_at, charge))
    }
}

#[async_trait]
impl Gateway for Stripe {
    fn accepts(&self, order: &ChargeRequest) -> Result<(), Vec<Unmet>> {
        accepts::check(order)
    }

    fn idempotent_for(&self, _method: PaymentMethodKind) -> Option<Duration> {
        Some(IDEMPOTENT_FOR)
    }

    fn visibility_lag(&self, _method: PaymentMethodKind) -> Duration {
        VISIBILITY_LAG
    }

    async fn charge(
        &self,
        order: &ChargeRequest,
        within: Duration,
    ) -> Result<GatewayCharge, GatewayError> {
        let deadline = Deadline::after(within);
        let path: &[&str] = match order.method.kind() {
            PaymentMethodKind::Card => &["checkout", "sessions"],
            PaymentMethodKind::Pix | PaymentMethodKind::Boleto => &["payment_intents"],
        };
        let answer = self
            .create(path, &form::of(order), &order.reference, deadline)
            .await?;
        self.created(order, &answer, deadline)
            .await
            .map_err(GatewayError::after_an_effect)
    }

    async fn find(&self, order: &ChargeLookup) -> Result<Vec<GatewayCharge>, GatewayError> {
        self.search(order).await
    }

    async fn cancel(&self, charge: &GatewayCharge) -> Result<GatewayCharge, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let ended = if read::is_session(&charge.id) {
            let path = ["checkout", "sessions", &charge.id, "expire"];
            self.post(&path, &Vec::new(), deadline).await
        } else {
            let form = vec![("cancellation_reason", "abandoned".to_owned())];
            let path = ["payment_intents", &charge.id, "cancel"];
            self.post(&path, &form, deadline).await
        };
        match ended {
            Ok(_) => self.read(&charge.id, deadline).await,
            // paid or ended meanwhile, or a payment is in progress
            Err(refused) if refused.class == ErrorClass::Rejected => {
                let now = self.read(&charge.id, deadline).await?;
                let explained = refused.code == error::UNEXPECTED_STATE || !now.status.is_payable();
                if explained { Ok(now) } else { Err(refused) }
            }
            Err(error) => Err(error),
        }
    }

    fn refundable(&self, method: PaymentMethodKind) -> Result<(), &'static str> {
        refundable(method)
    }

    fn refund_idempotent_for(&self, _method: PaymentMethodKind) -> Option<Duration> {
        Some(IDEMPOTENT_FOR)
    }

    async fn refund(
        &self,
        order: &RefundRequest,
        within: Duration,
    ) -> Result<GatewayRefund, GatewayError> {
        self.create_refund(order, within).await
    }

    async fn find_refund(
        &self,
        order: &RefundRequest,
    ) -> Result<Option<GatewayRefund>, GatewayError> {
        self.search_refund(order).await
    }

    fn notification(&self, received: &Received, known: &[Registration]) -> Result<Entries, Forged> {
        notification::read(received, (&self.webhook_secrets, known), self.is_live())
    }

    /// Stripe's events contain the complete state, so a stored body can be parsed again.
    fn reread(&self, body: &[u8]) -> Entries {
        notification::reread(body, self.is_live())
    }

    async fn fetch(&self, _token: &str) -> Result<Entries, GatewayError> {
        Ok(Entries::default())
    }

    async fn changes_since(&self, feed: Feed, from: &ReadFrom<'_>) -> Result<Page, GatewayError> {
        match feed {
            Feed::StripeEvents => self.events_since(from).await,
            Feed::StripeBalance => self.booked_since(from).await,
            _ => Ok(Page::end(from.now)),
        }
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
        let account = match self.get(&["account"], &[], deadline).await {
            Ok(answer) => answer.json()["id"].as_str().map(ToOwned::to_owned),
            // a restricted key may not read its account: the key identifies it instead
            Err(error) if error.class == ErrorClass::Denied => None,
            Err(error) => return Err(error),
        };
        let account = account.unwrap_or_else(|| {
            hex::encode(&Sha256::digest(self.key.expose_secret().as_bytes())[..8])
        });
        Ok(Account {
            fingerprint: format!("stripe:{account}"),
            live: Some(balance.livemode),
        })
    }

    async fn subscribe(
        &self,
        url: &Url,
        _replace: bool,
        _token: &SecretString,
    ) -> Result<Subscription, GatewayError> {
        self.register(url).await
    }

    async fn tidy(&self, url: &Url, keep: &str) -> Result<(), GatewayError> {
        self.remove_others(url, keep).await
    }

    async fn unsubscribe(&self, url: &Url, _former: Option<&Url>) -> Result<(), GatewayError> {
        self.deregister(url).await
    }

    async fn check(
        &self,
        url: &Url,
        _replace: bool,
        known: &[Registration],
    ) -> Result<CheckReport, GatewayError> {
        self.check_endpoint(url, known).await
    }
}
