//! Efí: two APIs, each with its own host and tokens. Pix over mutual TLS, and Cobranças for boletos and card links.
//! `docs/gateways/efi.md`.

use std::{fs, time::Duration};

use async_trait::async_trait;
use chrono::TimeDelta;
use reqwest::Certificate;
use schemas::{Instant, attempt::ErrorClass, payment_method::PaymentMethodKind, route::Unmet};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use url::Url;

use crate::{
    Account, ChargeLookup, ChargeRequest, CheckReport, Endpoints, Entries, Feed, Forged, Gateway,
    GatewayCharge, GatewayError, GatewayRefund, Issue, Page, ReadFrom, Received, RefundRequest,
    Registration, Subscription,
    credentials::EfiCredentials,
    http::{self, CALL_TIMEOUT, Deadline},
};

mod certificate;
mod cobrancas;
mod error;
mod pix;
mod session;
#[cfg(test)]
mod tests;

use cobrancas::Cobrancas;
use pix::Pix;

pub(crate) use certificate::identity;

/// Time for which a `txid` and a refund's id stay taken: effectively for ever.
const IDEMPOTENT_FOR: Duration = Duration::from_hours(10 * 365 * 24);
/// Longest time for which a charge of the API Cobranças may be missing from its lists.
const COBRANCAS_LAG: Duration = Duration::from_secs(5);
/// Time before a certificate's expiry at which the merchant is asked to create and upload another.
const CERTIFICATE_NOTICE: TimeDelta = TimeDelta::days(30);
/// Header of a registration whose address has no mutual TLS: Efí then does not test that the address refuses other clients.
const SKIP_MTLS: &str = "x-skip-mtls-checking";
const NO_BOLETO_BACK: &str =
    "Efí's API gives no boleto back: return the money by a Pix or a transfer of your own";

/// Efí account with one Pix key.
pub struct Efi {
    pix: Pix,
    cobrancas: Cobrancas,
    client_id: String,
    certificate_ends_at: Instant,
}

impl Efi {
    pub(crate) fn open(
        credentials: &EfiCredentials,
        endpoints: &Endpoints,
    ) -> Result<Self, GatewayError> {
        let unreadable = |what| GatewayError::new(ErrorClass::Denied, "certificate", what);
        let identity = identity(&credentials.certificate).map_err(unreadable)?;
        let ends_at = certificate::ends_at(&credentials.certificate).map_err(unreadable)?;
        let authority = match &endpoints.efi_ca_file {
            Some(path) => {
                let pem = fs::read(path)
                    .map_err(|_| unreadable("the further authority's file cannot be read"))?;
                Some(
                    Certificate::from_pem(&pem)
                        .map_err(|_| unreadable("the further authority's file is not PEM"))?,
                )
            }
            None => None,
        };
        // only a simulator has its own authority, and it needs none where it serves without TLS
        let plain = match &authority {
            Some(authority) if endpoints.efi_cobrancas.scheme() == "https" => {
                http::client(None, Some(authority.clone()))?
            }
            _ => http::shared()?,
        };
        // the client certificate belongs to this connection, so the client cannot be shared
        let mutual = http::client(Some(identity), authority)?;
        Ok(Self {
            pix: Pix::new(mutual, endpoints.efi_pix.clone(), credentials),
            cobrancas: Cobrancas::new(plain, endpoints.efi_cobrancas.clone(), credentials),
            client_id: credentials.client_id.clone(),
            certificate_ends_at: ends_at,
        })
    }

    fn certificate(&self, now: Instant) -> Option<Issue> {
        let ends_at = self.certificate_ends_at;
        (ends_at - now < CERTIFICATE_NOTICE).then(|| Issue {
            code: "certificate_expires",
            message: format!(
                "the client certificate is valid until {}; issue another in Efí's panel and give it to this connection",
                ends_at.format("%Y-%m-%d %H:%M UTC")
            ),
            repaired: false,
        })
    }
}

/// Returns the wall clock, for the end of a list and the expiry of our certificate. It decides nothing about a charge.
fn now() -> Instant {
    crate::outside::now().into()
}

fn unmet(field: &str, reason: &str) -> Unmet {
    Unmet {
        field: field.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Returns true if the id is of the API Cobranças, a number. An id of the API Pix is our `txid`, which begins with letters.
fn is_of_cobrancas(charge: &str) -> bool {
    !charge.is_empty() && charge.bytes().all(|byte| byte.is_ascii_digit())
}

/// Checks that a payment by `method` can be refunded through the API. The error is the reason why not, for people.
pub(crate) fn refundable(method: PaymentMethodKind) -> Result<(), &'static str> {
    match method {
        PaymentMethodKind::Pix | PaymentMethodKind::Card => Ok(()),
        PaymentMethodKind::Boleto => Err(NO_BOLETO_BACK),
    }
}

#[async_trait]
impl Gateway for Efi {
    fn accepts(&self, order: &ChargeRequest) -> Result<(), Vec<Unmet>> {
        let lacks = match order.method.kind() {
            PaymentMethodKind::Pix => pix::lacks(order),
            PaymentMethodKind::Boleto | PaymentMethodKind::Card => cobrancas::lacks(order),
        };
        if lacks.is_empty() { Ok(()) } else { Err(lacks) }
    }

    fn idempotent_for(&self, method: PaymentMethodKind) -> Option<Duration> {
        (method == PaymentMethodKind::Pix).then_some(IDEMPOTENT_FOR)
    }

    fn visibility_lag(&self, method: PaymentMethodKind) -> Duration {
        match method {
            PaymentMethodKind::Pix => Duration::ZERO,
            PaymentMethodKind::Boleto | PaymentMethodKind::Card => COBRANCAS_LAG,
        }
    }

    async fn charge(
        &self,
        order: &ChargeRequest,
        within: Duration,
    ) -> Result<GatewayCharge, GatewayError> {
        let deadline = Deadline::after(within);
        match order.method.kind() {
            PaymentMethodKind::Pix => self.pix.charge(order, deadline).await,
            PaymentMethodKind::Boleto | PaymentMethodKind::Card => {
                self.cobrancas.charge(order, deadline).await
            }
        }
    }

    async fn find(&self, order: &ChargeLookup) -> Result<Vec<GatewayCharge>, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        match order.method.kind() {
            PaymentMethodKind::Pix => self.pix.find(order, deadline).await,
            PaymentMethodKind::Boleto | PaymentMethodKind::Card => {
                self.cobrancas.find(order, deadline).await
            }
        }
    }

    async fn cancel(&self, charge: &GatewayCharge) -> Result<GatewayCharge, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        if is_of_cobrancas(&charge.id) {
            self.cobrancas.cancel(charge, deadline).await
        } else {
            self.pix.cancel(charge, deadline).await
        }
    }

    fn refundable(&self, method: PaymentMethodKind) -> Result<(), &'static str> {
        refundable(method)
    }

    fn refund_idempotent_for(&self, method: PaymentMethodKind) -> Option<Duration> {
        self.idempotent_for(method)
    }

    async fn refund(
        &self,
        order: &RefundRequest,
        within: Duration,
    ) -> Result<GatewayRefund, GatewayError> {
        let deadline = Deadline::after(within);
        if is_of_cobrancas(&order.charge) {
            self.cobrancas.refund(order, deadline).await
        } else {
            self.pix.refund(order, deadline).await
        }
    }

    async fn find_refund(
        &self,
        order: &RefundRequest,
    ) -> Result<Option<GatewayRefund>, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        if is_of_cobrancas(&order.charge) {
            self.cobrancas.find_refund(order, deadline).await
        } else {
            self.pix.find_refund(order, deadline).await
        }
    }

    fn notification(
        &self,
        received: &Received,
        _known: &[Registration],
    ) -> Result<Entries, Forged> {
        Ok(if cobrancas::is_form(received) {
            cobrancas::read_notification(received)
        } else {
            pix::read_notification(received)
        })
    }

    fn reread(&self, body: &[u8]) -> Entries {
        let received = Received {
            headers: Vec::new(),
            body: body.to_vec(),
            at: now(),
        };
        if cobrancas::is_form(&received) {
            cobrancas::read_notification(&received)
        } else {
            pix::read_notification(&received)
        }
    }

    async fn fetch(&self, token: &str) -> Result<Entries, GatewayError> {
        self.cobrancas
            .fetch(token, Deadline::after(CALL_TIMEOUT))
            .await
    }

    async fn changes_since(&self, feed: Feed, from: &ReadFrom<'_>) -> Result<Page, GatewayError> {
        match feed {
            Feed::EfiPix => self.pix.arrived(from).await,
            Feed::EfiReturns => self.pix.returned(from).await,
            Feed::EfiClaims => self.pix.claims(from).await,
            Feed::EfiBoletos => self.cobrancas.moved(cobrancas::BOLETO, from).await,
            Feed::EfiCards => self.cobrancas.moved(cobrancas::CARD, from).await,
            _ => Ok(Page::end(from.now)),
        }
    }

    async fn probe(&self) -> Result<Account, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        self.pix.probe(deadline).await?;
        // Pix works without the API Cobranças, so its failure is only logged
        if let Err(error) = self.cobrancas.probe(deadline).await {
            tracing::info!(class = %error.class, code = error.code, "efi: no boletos and card links for now");
        }
        // Efí exposes no account id; the client id is used instead
        let digest = Sha256::digest(self.client_id.as_bytes());
        Ok(Account {
            fingerprint: format!("efi:{}", hex::encode(&digest[..8])),
            live: None,
        })
    }

    async fn subscribe(
        &self,
        url: &Url,
        replace: bool,
        _token: &SecretString,
    ) -> Result<Subscription, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        self.pix.subscribe(url, replace, deadline).await
    }

    fn has_one_address(&self) -> bool {
        true
    }

    async fn unsubscribe(&self, url: &Url, former: Option<&Url>) -> Result<(), GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        self.pix.unsubscribe(url, former, deadline).await
    }

    async fn check(
        &self,
        url: &Url,
        replace: bool,
        _known: &[Registration],
    ) -> Result<CheckReport, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let mut report = self.pix.check(url, replace, deadline).await?;
        report.issues.extend(self.certificate(now()));
        Ok(report)
    }
}
