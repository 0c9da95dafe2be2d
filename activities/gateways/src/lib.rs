#![doc = include_str!("../README.md")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use schemas::{Instant, gateway::GatewayKind, payment_method::Kind, route::Unmet};
use url::Url;

pub mod answer;
pub mod asaas;
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
    Account, Finding, GatewayCharge, GatewayDispute, GatewayPayment, GatewayRefund, GatewayStatus,
    RefundStatus, Subscription, Watched,
};
pub use credentials::Credentials;
pub use endpoints::Endpoints;
pub use error::GatewayError;
pub use notification::{GatewayNotice, Means, NotificationError, Observed, Received};
pub use order::{ChargeLookup, ChargeOrder, RefundOrder};

/// A payment gateway, spoken to in its dialect and answered in ours.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// What `order` lacks here: a fallback that cannot take the charge is no fallback.
    fn accepts(&self, order: &ChargeOrder) -> Result<(), Vec<Unmet>>;

    /// Whether creating twice with the same reference is harmless, for how long after the first try:
    /// `None` where it never is, and a second runner must search instead.
    fn idempotent_for(&self, method: Kind) -> Option<Duration>;

    /// How long a charge created a moment ago may stay invisible to [`Self::find`].
    fn visibility_lag(&self, method: Kind) -> Duration;

    /// Creates the charge, or adopts the one that already carries the order's reference where the gateway
    /// makes that safe. Gives up after `within`.
    async fn charge(
        &self,
        order: &ChargeOrder,
        within: Duration,
    ) -> Result<GatewayCharge, GatewayError>;

    /// Everything at the gateway that carries this reference, or the id that is known, as it stands now (Asaas may hold several).
    async fn find(&self, order: &ChargeLookup) -> Result<Vec<GatewayCharge>, GatewayError>;

    /// Makes the charge unpayable and answers how it really ended: it may have been paid meanwhile.
    async fn cancel(&self, charge: &GatewayCharge) -> Result<GatewayCharge, GatewayError>;

    /// Whether a payment by `method` can be given back through this gateway's API; if not, why, for people.
    fn refundable(&self, method: Kind) -> Result<(), &'static str>;

    /// Whether asking twice for the same refund is harmless, for how long after the first time; `None` where it never is,
    /// and it must be searched for instead.
    fn refund_idempotent_for(&self, method: Kind) -> Option<Duration>;

    /// Gives money back, or answers the refund that already carries the order's reference where the gateway makes that safe.
    async fn refund(
        &self,
        order: &RefundOrder,
        within: Duration,
    ) -> Result<GatewayRefund, GatewayError>;

    /// The refund that carries this order's reference, as it stands now. `None`: the gateway answered, and has none.
    async fn find_refund(&self, order: &RefundOrder)
    -> Result<Option<GatewayRefund>, GatewayError>;

    /// Verifies and reads what arrived at this connection's notification address.
    fn notification(&self, received: &Received) -> Result<Vec<GatewayNotice>, NotificationError>;

    /// Reads once more a body that was verified when it came.
    fn reread(&self, body: &[u8]) -> Result<Vec<GatewayNotice>, NotificationError>;

    /// What a token of a notification stands for (`Means::Token`); asking acknowledges it.
    async fn fetch(&self, token: &str) -> Result<Vec<GatewayNotice>, GatewayError>;

    /// What the gateway lists since then: payments, refunds, disputes, as proved notices. Heals lost notifications.
    async fn catch_up(&self, since: Instant) -> Result<Vec<GatewayNotice>, GatewayError>;

    /// A cheap authenticated read: alive, and whose account.
    async fn probe(&self) -> Result<Account, GatewayError>;

    /// Registers our notification address. A stranger's address is replaced only when `replace` says so.
    async fn subscribe(&self, url: &Url, replace: bool) -> Result<Subscription, GatewayError>;

    /// Whether the gateway has one notification address only, so that registering ours replaces the former one.
    fn has_one_address(&self) -> bool {
        false
    }

    /// Takes `url` back, if it is still registered; in its place comes `former`, the address that ours replaced.
    async fn unsubscribe(&self, url: &Url, former: Option<&Url>) -> Result<(), GatewayError>;

    /// Looks after our set-up at the gateway: is `url` still registered and served, does the certificate last? Repairs what is
    /// ours; a stranger's address is replaced only when `replace` says so.
    async fn watch(&self, url: &Url, replace: bool) -> Result<Watched, GatewayError>;
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

/// Reads the credentials a merchant gave for `kind`, naming every wrong field.
pub fn read_credentials(
    kind: GatewayKind,
    json: serde_json::Value,
) -> Result<Credentials, Vec<schemas::problem::FieldError>> {
    credentials::read(kind, json)
}
