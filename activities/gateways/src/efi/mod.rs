//! Efí: two APIs, each with its own host and tokens. Pix over mutual TLS, and Cobranças for boletos and card links.
//! `docs/gateways/efi.md`.

use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use schemas::{
    Instant,
    fee::Price,
    gateway::{GatewayApi, GatewayKind},
    payment_method::PaymentMethodKind,
    route::Unmet,
};
use secrecy::SecretString;
use url::Url;

use crate::{
    Account, Capabilities, ChargeLookup, ChargeRequest, CheckReport, CredentialSchema, Descriptor,
    Entries, Feed, Forged, Gateway, GatewayCharge, GatewayError, GatewayRefund, Issue, Page,
    ReadFrom, Received, RefundRequest, Registration, Subscription, Unregister, Webhooks,
    changes::SCAN_PACE,
    descriptor::{ApiDescriptor, Disputes, MethodDescriptor, Refunds, Unpaid, WebhookCapabilities},
    http::{CALL_TIMEOUT, Deadline},
};

mod cobrancas;
mod credentials;
mod errors;
mod pix;
mod requests;
#[cfg(test)]
mod tests;

use cobrancas::Cobrancas;
use credentials::EfiCredentials;
use pix::Pix;

pub(crate) const GATEWAY: Descriptor = Descriptor {
    kind: GatewayKind::Efi,
    apis: &[
        ApiDescriptor {
            api: GatewayApi::EfiPix,
            live: Some("https://pix.api.efipay.com.br"),
            test: Some("https://pix-h.api.efipay.com.br"),
        },
        ApiDescriptor {
            api: GatewayApi::EfiCobrancas,
            live: Some("https://cobrancas.api.efipay.com.br"),
            test: Some("https://cobrancas-h.api.efipay.com.br"),
        },
    ],
    methods: &[
        MethodDescriptor {
            kind: PaymentMethodKind::Pix,
            api: GatewayApi::EfiPix,
            capabilities: Capabilities {
                idempotent_for: Some(IDEMPOTENT_FOR),
                visibility_lag: Duration::ZERO,
                unpaid: Unpaid::Expires,
                declines: false,
                refunds: Refunds::InParts,
                refund_idempotent_for: Some(IDEMPOTENT_FOR),
                disputes: Disputes::Contestable,
                notified_per_charge: false,
            },
        },
        MethodDescriptor {
            kind: PaymentMethodKind::Boleto,
            api: GatewayApi::EfiCobrancas,
            capabilities: Capabilities {
                unpaid: Unpaid::StaysPayable,
                declines: false,
                refunds: cobrancas::NO_BOLETO_REFUNDS,
                ..COBRANCAS
            },
        },
        MethodDescriptor {
            kind: PaymentMethodKind::Card,
            api: GatewayApi::EfiCobrancas,
            capabilities: COBRANCAS,
        },
    ],
    feeds: &FEEDS,
    webhooks: WebhookCapabilities {
        takes_token: false,
        has_one_address: true,
    },
    unmet: |order| match order.method.kind() {
        PaymentMethodKind::Pix => pix::unmet(order),
        PaymentMethodKind::Boleto | PaymentMethodKind::Card => cobrancas::unmet(order),
    },
    price: |method, installments| match (method, installments) {
        (PaymentMethodKind::Pix, _) => Price { bps: 119, fixed: 0 },
        (PaymentMethodKind::Boleto, _) => Price { bps: 0, fixed: 345 },
        (PaymentMethodKind::Card, 0 | 1) => Price { bps: 349, fixed: 0 },
        (PaymentMethodKind::Card, 2..=6) => Price { bps: 399, fixed: 0 },
        (PaymentMethodKind::Card, _) => Price { bps: 439, fixed: 0 },
    },
    credentials: CredentialSchema::of::<EfiCredentials>(),
    default: None,
};

/// Capabilities of a card link.
const COBRANCAS: Capabilities = Capabilities {
    idempotent_for: None,
    visibility_lag: Duration::from_secs(5),
    unpaid: Unpaid::Expires,
    declines: true,
    refunds: Refunds::Whole,
    refund_idempotent_for: None,
    disputes: Disputes::Unreported,
    notified_per_charge: true,
};

/// Pix that arrived.
const ARRIVED: &str = "efi_pix";
/// Pix with a refund.
const RETURNS: &str = "efi_returns";
/// Disputes by payers (MED).
const CLAIMS: &str = "efi_claims";
const BOLETOS: &str = "efi_boletos";
const CARDS: &str = "efi_cards";

const FEEDS: [Feed; 5] = [
    feed(ARRIVED, GatewayApi::EfiPix, Duration::ZERO),
    feed(RETURNS, GatewayApi::EfiPix, SCAN_PACE),
    feed(CLAIMS, GatewayApi::EfiPix, SCAN_PACE),
    feed(BOLETOS, GatewayApi::EfiCobrancas, SCAN_PACE),
    feed(CARDS, GatewayApi::EfiCobrancas, SCAN_PACE),
];

const fn feed(name: &'static str, api: GatewayApi, pace: Duration) -> Feed {
    Feed {
        name,
        gateway: GatewayKind::Efi,
        api,
        pace,
    }
}

/// Time for which a `txid` and a refund's id stay taken: effectively for ever.
const IDEMPOTENT_FOR: Duration = Duration::from_hours(10 * 365 * 24);
/// Time before a certificate's expiry at which the merchant is asked to create and upload another.
const CERTIFICATE_NOTICE: TimeDelta = TimeDelta::days(30);
/// Header of a registration whose address has no mutual TLS: Efí then does not test that the address refuses other clients.
const SKIP_MTLS: &str = "x-skip-mtls-checking";

/// Efí account with one Pix key.
struct Efi {
    pix: Pix,
    cobrancas: Cobrancas,
    client_id: String,
    certificate_ends_at: Instant,
}

impl Efi {
    fn certificate(&self, now: Instant) -> Option<Issue> {
        let ends_at = self.certificate_ends_at;
        (ends_at - now < CERTIFICATE_NOTICE).then(|| Issue {
            code: "certificate_expires",
            message: format!(
                "the client certificate is valid until {}; issue another in Efí's dashboard and give it to this connection",
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

#[async_trait]
impl Gateway for Efi {
    fn descriptor(&self) -> &'static Descriptor {
        crate::descriptor(GatewayKind::Efi)
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

    async fn changes_since(&self, feed: &Feed, from: &ReadFrom<'_>) -> Result<Page, GatewayError> {
        match feed.name {
            ARRIVED => self.pix.arrived(from).await,
            RETURNS => self.pix.returned(from).await,
            CLAIMS => self.pix.claims(from).await,
            BOLETOS => self.cobrancas.moved(cobrancas::BOLETO, from).await,
            CARDS => self.cobrancas.moved(cobrancas::CARD, from).await,
            _ => Ok(Page::end(from.now)),
        }
    }

    async fn probe(&self) -> Result<Account, GatewayError> {
        self.account().await
    }
}

#[async_trait]
impl Webhooks for Efi {
    /// Accepts every body: Efí's notifications are not proved, and are only hints.
    fn verify(&self, _received: &Received, _known: &[Registration]) -> Result<(), Forged> {
        Ok(())
    }

    fn parse(&self, body: &[u8]) -> Entries {
        if cobrancas::is_form(body) {
            cobrancas::parse(body)
        } else {
            pix::parse(body)
        }
    }

    async fn resolve(&self, token: &str) -> Result<Entries, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        self.cobrancas.resolve(token, deadline).await
    }

    async fn register(
        &self,
        url: &Url,
        replace: bool,
        _token: &SecretString,
    ) -> Result<Subscription, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        self.pix.register(url, replace, deadline).await
    }

    async fn unregister(&self, url: &Url, which: Unregister<'_>) -> Result<(), GatewayError> {
        match which {
            Unregister::All { restore } => {
                let deadline = Deadline::after(CALL_TIMEOUT);
                self.pix.unregister(url, restore, deadline).await
            }
            // a Pix key has one address
            Unregister::Others { .. } => Ok(()),
        }
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
