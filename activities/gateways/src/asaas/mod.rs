//! Asaas: a customer, a payment, and the instrument in further calls. There is no idempotency, so each creation searches first.
//! `docs/gateways/asaas.md`.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Client;
use schemas::{payment_method::PaymentMethodKind, route::Unmet};
use secrecy::SecretString;
use url::Url;

use crate::{
    Account, ChargeLookup, ChargeRequest, CheckReport, Endpoints, Entries, Feed, Forged, Gateway,
    GatewayCharge, GatewayError, GatewayRefund, Page, ReadFrom, Received, RefundRequest,
    Registration, Subscription, credentials::AsaasCredentials, http,
};

mod account;
mod call;
mod changes;
mod charge;
mod day;
mod error;
mod instrument;
mod notification;
mod order;
mod payer;
mod payment;
mod refund;
mod status;
#[cfg(test)]
mod tests;
mod webhook;

pub(crate) use refund::refundable;

const VISIBILITY_LAG: Duration = Duration::from_secs(5);
/// Most pages of the payments of one reference, or of the entries of one payment: the number that one call has time for.
const MAX_PAGES: usize = 100;

/// Asaas account, in the environment of its key.
pub struct Asaas {
    client: Client,
    base: Url,
    key: SecretString,
    webhook_tokens: Vec<SecretString>,
}

impl Asaas {
    pub(crate) fn open(
        credentials: &AsaasCredentials,
        endpoints: &Endpoints,
    ) -> Result<Self, GatewayError> {
        Ok(Self {
            client: http::shared()?,
            base: endpoints.asaas.clone(),
            key: credentials.api_key.clone(),
            webhook_tokens: credentials.webhook_tokens.clone(),
        })
    }
}

#[async_trait]
impl Gateway for Asaas {
    fn accepts(&self, order: &ChargeRequest) -> Result<(), Vec<Unmet>> {
        order::accepts(order)
    }

    fn idempotent_for(&self, _method: PaymentMethodKind) -> Option<Duration> {
        None
    }

    fn visibility_lag(&self, _method: PaymentMethodKind) -> Duration {
        VISIBILITY_LAG
    }

    async fn charge(
        &self,
        order: &ChargeRequest,
        within: Duration,
    ) -> Result<GatewayCharge, GatewayError> {
        self.create_or_adopt(order, within).await
    }

    async fn find(&self, order: &ChargeLookup) -> Result<Vec<GatewayCharge>, GatewayError> {
        self.all_of(order).await
    }

    async fn cancel(&self, charge: &GatewayCharge) -> Result<GatewayCharge, GatewayError> {
        self.end(charge).await
    }

    fn refundable(&self, method: PaymentMethodKind) -> Result<(), &'static str> {
        refundable(method)
    }

    fn refund_idempotent_for(&self, _method: PaymentMethodKind) -> Option<Duration> {
        None
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
        self.read_refund(order).await
    }

    fn notification(&self, received: &Received, known: &[Registration]) -> Result<Entries, Forged> {
        notification::read(received, (&self.webhook_tokens, known))
    }

    fn reread(&self, body: &[u8]) -> Entries {
        notification::reread(body)
    }

    async fn fetch(&self, _token: &str) -> Result<Entries, GatewayError> {
        // Asaas notifications carry their payload, so there are no tokens to resolve
        Ok(Entries::default())
    }

    async fn changes_since(&self, feed: Feed, from: &ReadFrom<'_>) -> Result<Page, GatewayError> {
        match feed {
            Feed::AsaasPaid => self.by_day("paymentDate", from).await,
            Feed::AsaasCreated => self.by_day("dateCreated", from).await,
            Feed::AsaasStates => self.by_state(from).await,
            _ => Ok(Page::end(from.now)),
        }
    }

    async fn probe(&self) -> Result<Account, GatewayError> {
        self.account().await
    }

    fn takes_token(&self) -> bool {
        true
    }

    async fn subscribe(
        &self,
        url: &Url,
        _replace: bool,
        token: &SecretString,
    ) -> Result<Subscription, GatewayError> {
        self.register(url, token).await
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
        self.check_webhook(url, known).await
    }
}
