#![doc = include_str!("../README.md")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use schemas::{gateway::GatewayKind, payment_method::PaymentMethodKind, route::Unmet};
use secrecy::SecretString;
use url::Url;

pub mod answer;
pub mod asaas;
pub mod changes;
mod contact;
pub mod credentials;
pub mod efi;
pub mod endpoints;
pub mod error;
pub mod http;
mod money;
pub mod notification;
pub mod order;
pub mod outside;
mod pix_code;
pub mod stripe;

pub use answer::{
    Account, CheckReport, GatewayCharge, GatewayDispute, GatewayPayment, GatewayRefund,
    GatewayStatus, Issue, RefundStatus, Subscription,
};
pub use changes::{Feed, Page, ReadFrom};
pub use credentials::Credentials;
pub use endpoints::Endpoints;
pub use error::GatewayError;
pub use notification::{
    Entries, Forged, GatewayNotice, NoticeKind, Observed, Received, Registration, Unreadable,
};
pub use order::{ChargeLookup, ChargeRequest, RefundRequest};

/// Payment gateway: called in its own protocol, answers in our types.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Returns the requirements that `order` does not meet, so that no fallback is routed to a gateway that cannot take the charge.
    fn accepts(&self, order: &ChargeRequest) -> Result<(), Vec<Unmet>>;

    /// Returns the time after the first try during which a second creation with the same reference is harmless.
    /// `None`: it never is, and the worker must search first.
    fn idempotent_for(&self, method: PaymentMethodKind) -> Option<Duration>;

    /// Returns the longest time for which a new charge may be missing from [`Self::find`].
    fn visibility_lag(&self, method: PaymentMethodKind) -> Duration;

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

    /// Checks that a payment by `method` can be refunded through this gateway's API. The error is the reason why not, for people.
    fn refundable(&self, method: PaymentMethodKind) -> Result<(), &'static str>;

    /// Returns the time after the first try during which a second request of the same refund is harmless.
    /// `None`: it never is, and the worker must search first.
    fn refund_idempotent_for(&self, method: PaymentMethodKind) -> Option<Duration>;

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

    /// Verifies a request to this connection's notification address by one of the `known` secrets, and parses its entries.
    fn notification(&self, received: &Received, known: &[Registration]) -> Result<Entries, Forged>;

    /// Parses again a body that was verified when it was received.
    fn reread(&self, body: &[u8]) -> Entries;

    /// Fetches the entries that a notification's token identifies (`NoticeKind::Token`). The fetch acknowledges the token.
    async fn fetch(&self, token: &str) -> Result<Entries, GatewayError>;

    /// Fetches one page of the changes since then in one of the gateway's lists, which recovers lost notifications.
    async fn changes_since(&self, feed: Feed, from: &ReadFrom<'_>) -> Result<Page, GatewayError>;

    /// Sends a cheap authenticated read, which proves that the gateway is healthy, and returns the account.
    async fn probe(&self) -> Result<Account, GatewayError>;

    /// Returns true if notifications carry a token of ours, which is stored before it is sent to the gateway.
    fn takes_token(&self) -> bool {
        false
    }

    /// Registers our notification address, with `token` if the gateway uses one. A third party's address is replaced only if `replace`
    /// is true. Other registrations of `url` stay: see [`Self::tidy`].
    async fn subscribe(
        &self,
        url: &Url,
        replace: bool,
        token: &SecretString,
    ) -> Result<Subscription, GatewayError>;

    /// Removes the registrations of `url` except the one with the id `keep`, once its secret is stored.
    async fn tidy(&self, _url: &Url, _keep: &str) -> Result<(), GatewayError> {
        Ok(())
    }

    /// Returns true if the gateway has only one notification address, so that registering ours replaces the former one.
    fn has_one_address(&self) -> bool {
        false
    }

    /// Deregisters `url`, if it is still registered, and restores `former`, the address that ours replaced.
    async fn unsubscribe(&self, url: &Url, former: Option<&Url>) -> Result<(), GatewayError>;

    /// Checks our set-up at the gateway: `url` is registered under the current id of the `known` registrations and active, and the
    /// certificate does not expire soon. Repairs problems that need no new registration.
    async fn check(
        &self,
        url: &Url,
        replace: bool,
        known: &[Registration],
    ) -> Result<CheckReport, GatewayError>;
}

/// Opens a client for one connection.
pub fn open(
    credentials: &Credentials,
    endpoints: &Endpoints,
) -> Result<Arc<dyn Gateway>, GatewayError> {
    Ok(match credentials {
        Credentials::Efi(credentials) => Arc::new(efi::Efi::open(credentials, endpoints)?),
        Credentials::Stripe(credentials) => Arc::new(stripe::Stripe::open(credentials, endpoints)?),
        Credentials::Asaas(credentials) => Arc::new(asaas::Asaas::open(credentials, endpoints)?),
    })
}

/// Checks that a payment by `method` can be refunded through this gateway's API. The error is the reason why not, for people. The
/// result is the same for every account, so no client needs to be opened.
pub fn refundable(gateway: GatewayKind, method: PaymentMethodKind) -> Result<(), &'static str> {
    match gateway {
        GatewayKind::Efi => efi::refundable(method),
        GatewayKind::Stripe => stripe::refundable(method),
        GatewayKind::Asaas => asaas::refundable(method),
    }
}

/// Parses the credentials of a merchant for `kind`. Errors name every wrong field.
pub fn read_credentials(
    kind: GatewayKind,
    json: serde_json::Value,
) -> Result<Credentials, Vec<schemas::problem::FieldError>> {
    credentials::read(kind, json)
}

/// Parses stored credentials. Fields that a newer version added are ignored.
pub fn stored_credentials(
    kind: GatewayKind,
    json: serde_json::Value,
) -> Result<Credentials, Vec<schemas::problem::FieldError>> {
    credentials::read(kind, credentials::known(kind, json))
}
