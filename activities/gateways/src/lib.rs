#![doc = include_str!("../README.md")]

use std::time::Duration;

use async_trait::async_trait;
use schemas::payment_method::PaymentMethodKind;
use secrecy::SecretString;
use url::Url;

pub mod answer;
mod asaas;
pub mod changes;
mod contact;
pub mod credentials;
pub mod descriptor;
mod dummy;
mod efi;
pub mod endpoints;
pub mod error;
pub mod http;
mod local;
mod money;
pub mod notification;
pub mod order;
pub mod outside;
mod pix_code;
pub mod storage;
mod stripe;

pub use answer::{
    Account, CheckReport, GatewayCharge, GatewayDispute, GatewayPayment, GatewayRefund,
    GatewayStatus, Issue, RefundStatus, Subscription,
};
pub use changes::{Feed, Page, ReadFrom};
pub use credentials::{CredentialSchema, Credentials, read_credentials, stored_credentials};
pub use descriptor::{
    Capabilities, Descriptor, FeeEstimate, api, descriptor, is_default, refundable,
};
pub use endpoints::Endpoints;
pub use error::GatewayError;
pub use notification::{
    Entries, Forged, GatewayNotice, NoticeKind, Observed, Received, Registration, Unreadable,
};
pub use order::{ChargeLookup, ChargeRequest, RefundRequest};
pub use storage::{Storage, StorageFailed};

/// All gateways.
pub const GATEWAYS: &[Descriptor] = &[
    //
    efi::GATEWAY,
    stripe::GATEWAY,
    asaas::GATEWAY,
    dummy::GATEWAY,
];

/// Client of a merchant's account at a payment gateway: calls it in its own protocol, answers in our types.
#[async_trait]
pub trait Gateway: Webhooks {
    /// Returns the gateway's description.
    fn descriptor(&self) -> &'static Descriptor;

    /// Creates the charge, or adopts the one that already carries the order's reference where the gateway
    /// makes that safe. Times out after `within`.
    async fn charge(
        &self,
        order: &ChargeRequest,
        within: Duration,
    ) -> Result<GatewayCharge, GatewayError>;

    /// Fetches the current state of all charges that carry this reference, or of the one with the known id (Asaas may have several).
    async fn find(&self, order: &ChargeLookup) -> Result<Vec<GatewayCharge>, GatewayError>;

    /// Makes the charge unpayable and returns its actual final state: it may have been paid meanwhile.
    async fn cancel(&self, charge: &GatewayCharge) -> Result<GatewayCharge, GatewayError>;

    /// Refunds, or returns the refund that already carries the order's reference where the gateway makes that safe.
    async fn refund(
        &self,
        order: &RefundRequest,
        within: Duration,
    ) -> Result<GatewayRefund, GatewayError>;

    /// Fetches the current state of the refund that carries this order's reference. `None`: the gateway answered and has none.
    async fn find_refund(
        &self,
        order: &RefundRequest,
    ) -> Result<Option<GatewayRefund>, GatewayError>;

    /// Fetches one page of the changes since then in one of the gateway's lists, which recovers lost notifications.
    async fn changes_since(&self, feed: &Feed, from: &ReadFrom<'_>) -> Result<Page, GatewayError>;

    /// Sends a cheap authenticated read, which proves that the gateway is healthy, and returns the account.
    async fn probe(&self) -> Result<Account, GatewayError>;
}

impl dyn Gateway {
    /// Returns the gateway's capabilities for a method.
    pub fn capabilities(&self, method: PaymentMethodKind) -> &'static Capabilities {
        self.descriptor().capabilities(method)
    }
}

/// Notifications of a merchant's account: their proof, their content, and the registration of our address.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// Verifies a request to this connection's notification address by one of the `known` secrets, over its raw bytes.
    fn verify(&self, received: &Received, known: &[Registration]) -> Result<(), Forged>;

    /// Parses the entries of a verified body.
    fn parse(&self, body: &[u8]) -> Entries;

    /// Fetches the entries that a notification's token identifies (`NoticeKind::Token`). The fetch acknowledges the token.
    async fn resolve(&self, _token: &str) -> Result<Entries, GatewayError> {
        Ok(Entries::default())
    }

    /// Registers our notification address, with `token` if the gateway uses one. A third party's address is replaced only if `replace`
    /// is true. Other registrations of `url` stay until they are unregistered.
    async fn register(
        &self,
        url: &Url,
        replace: bool,
        token: &SecretString,
    ) -> Result<Subscription, GatewayError>;

    /// Removes registrations of `url`, if there are any.
    async fn unregister(&self, url: &Url, which: Unregister<'_>) -> Result<(), GatewayError>;

    /// Checks our set-up at the gateway: `url` is registered under the current id of the `known` registrations and active, and the
    /// certificate does not expire soon. Repairs problems that need no new registration.
    async fn check(
        &self,
        url: &Url,
        replace: bool,
        known: &[Registration],
    ) -> Result<CheckReport, GatewayError>;
}

/// Registrations of our address that are removed.
#[derive(Clone, Copy, Debug)]
pub enum Unregister<'a> {
    /// All. `restore` is the address that ours replaced, which is registered again.
    All { restore: Option<&'a Url> },
    /// All except the one with this id, whose secret is stored.
    Others { keep: &'a str },
}
