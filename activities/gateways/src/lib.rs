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

/// A payment gateway, spoken to in its dialect and answered in ours.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// What `order` lacks here: a fallback that cannot take the charge is no fallback.
    fn accepts(&self, order: &ChargeRequest) -> Result<(), Vec<Unmet>>;

    /// Whether creating twice with the same reference is harmless, for how long after the first try:
    /// `None` where it never is, and a second runner must search instead.
    fn idempotent_for(&self, method: PaymentMethodKind) -> Option<Duration>;

    /// How long a charge created a moment ago may stay invisible to [`Self::find`].
    fn visibility_lag(&self, method: PaymentMethodKind) -> Duration;

    /// Creates the charge, or adopts the one that already carries the order's reference where the gateway
    /// makes that safe. Gives up after `within`.
    async fn charge(
        &self,
        order: &ChargeRequest,
        within: Duration,
    ) -> Result<GatewayCharge, GatewayError>;

    /// Everything at the gateway that carries this reference, or the id that is known, as it stands now (Asaas may hold several).
    async fn find(&self, order: &ChargeLookup) -> Result<Vec<GatewayCharge>, GatewayError>;

    /// Makes the charge unpayable and answers how it really ended: it may have been paid meanwhile.
    async fn cancel(&self, charge: &GatewayCharge) -> Result<GatewayCharge, GatewayError>;

    /// Whether a payment by `method` can be given back through this gateway's API; if not, why, for people.
    fn refundable(&self, method: PaymentMethodKind) -> Result<(), &'static str>;

    /// Whether asking twice for the same refund is harmless, for how long after the first time; `None` where it never is,
    /// and it must be searched for instead.
    fn refund_idempotent_for(&self, method: PaymentMethodKind) -> Option<Duration>;

    /// Gives money back, or answers the refund that already carries the order's reference where the gateway makes that safe.
    async fn refund(
        &self,
        order: &RefundRequest,
        within: Duration,
    ) -> Result<GatewayRefund, GatewayError>;

    /// The refund that carries this order's reference, as it stands now. `None`: the gateway answered, and has none.
    async fn find_refund(
        &self,
        order: &RefundRequest,
    ) -> Result<Option<GatewayRefund>, GatewayError>;

    /// Verifies what arrived at this connection's notification address, by one of the `known` secrets, and reads its entries.
    fn notification(&self, received: &Received, known: &[Registration]) -> Result<Entries, Forged>;

    /// Reads once more the entries of a body that was verified when it came.
    fn reread(&self, body: &[u8]) -> Entries;

    /// What a token of a notification stands for (`NoticeKind::Token`); asking acknowledges it.
    async fn fetch(&self, token: &str) -> Result<Entries, GatewayError>;

    /// Reads one page of what changed since then in one of the gateway's lists, which heals lost notifications.
    async fn changes_since(&self, feed: Feed, from: &ReadFrom<'_>) -> Result<Page, GatewayError>;

    /// A cheap authenticated read: alive, and whose account.
    async fn probe(&self) -> Result<Account, GatewayError>;

    /// Whether notifications carry a token of ours, which is stored before the gateway receives it.
    fn takes_token(&self) -> bool {
        false
    }

    /// Registers our notification address, with `token` where the gateway takes one. A stranger's address is replaced only when
    /// `replace` says so. Other registrations of `url` stay: see [`Self::tidy`].
    async fn subscribe(
        &self,
        url: &Url,
        replace: bool,
        token: &SecretString,
    ) -> Result<Subscription, GatewayError>;

    /// Removes the registrations of `url` but the one with the id `keep`, once its secret is stored.
    async fn tidy(&self, _url: &Url, _keep: &str) -> Result<(), GatewayError> {
        Ok(())
    }

    /// Whether the gateway has one notification address only, so that registering ours replaces the former one.
    fn has_one_address(&self) -> bool {
        false
    }

    /// Takes `url` back, if it is still registered; in its place comes `former`, the address that ours replaced.
    async fn unsubscribe(&self, url: &Url, former: Option<&Url>) -> Result<(), GatewayError>;

    /// Checks our set-up at the gateway: `url` is registered under the current id of the `known` registrations and served, the
    /// certificate lasts. Repairs what needs no new registration.
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

/// Whether a payment by `method` can be given back through this gateway's API; if not, why, for people. The same for every
/// account, so that no client needs to be opened.
pub fn refundable(gateway: GatewayKind, method: PaymentMethodKind) -> Result<(), &'static str> {
    match gateway {
        GatewayKind::Efi => efi::refundable(method),
        GatewayKind::Stripe => stripe::refundable(method),
        GatewayKind::Asaas => asaas::refundable(method),
    }
}

/// Reads the credentials a merchant gave for `kind`, naming every wrong field.
pub fn read_credentials(
    kind: GatewayKind,
    json: serde_json::Value,
) -> Result<Credentials, Vec<schemas::problem::FieldError>> {
    credentials::read(kind, json)
}

/// Reads credentials as they are stored; fields that a newer version added are ignored.
pub fn stored_credentials(
    kind: GatewayKind,
    json: serde_json::Value,
) -> Result<Credentials, Vec<schemas::problem::FieldError>> {
    credentials::read(kind, credentials::known(kind, json))
}
