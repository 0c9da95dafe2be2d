//! Notification address: each charge carries it, so there is nothing to register.

use async_trait::async_trait;
use secrecy::SecretString;
use url::Url;

use super::{Dummy, notifications};
use crate::{
    CheckReport, Entries, Forged, GatewayError, Received, Registration, Subscription, Unregister,
    Webhooks,
};

#[async_trait]
impl Webhooks for Dummy {
    fn verify(&self, _received: &Received, _known: &[Registration]) -> Result<(), Forged> {
        Ok(())
    }

    fn parse(&self, body: &[u8]) -> Entries {
        notifications::parse(body)
    }

    async fn resolve(&self, token: &str) -> Result<Entries, GatewayError> {
        self.pay(token).await
    }

    async fn register(
        &self,
        _url: &Url,
        _replace: bool,
        _token: &SecretString,
    ) -> Result<Subscription, GatewayError> {
        Ok(Subscription::Done)
    }

    async fn unregister(&self, _url: &Url, _which: Unregister<'_>) -> Result<(), GatewayError> {
        Ok(())
    }

    async fn check(
        &self,
        _url: &Url,
        _replace: bool,
        _known: &[Registration],
    ) -> Result<CheckReport, GatewayError> {
        Ok(CheckReport::default())
    }
}
