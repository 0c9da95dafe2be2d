//! Descriptions of the gateways: everything about a gateway that does not depend on an account.

use std::time::Duration;

use schemas::{
    fee::{Price, Prices, own_price},
    gateway::{GatewayApi, GatewayKind},
    payment_method::PaymentMethodKind,
    route::Unmet,
};

use crate::{CredentialSchema, Feed, GATEWAYS, GatewayPayment, order::ChargeRequest};

/// Description of a gateway: the constant `GATEWAY` of its folder, listed in [`GATEWAYS`].
pub struct Descriptor {
    pub kind: GatewayKind,
    pub apis: &'static [ApiDescriptor],
    /// Methods that it serves.
    pub methods: &'static [MethodDescriptor],
    /// Lists that are polled in case its notifications were lost.
    pub feeds: &'static [Feed],
    pub webhooks: WebhookCapabilities,
    /// Returns the requirements that an order does not meet, so that no fallback is routed to a gateway that cannot take the charge.
    pub unmet: fn(&ChargeRequest) -> Vec<Unmet>,
    /// Returns the list price of a payment by a method, in that number of installments (`docs/gateways/README.md#fees`, May 2026).
    pub price: fn(PaymentMethodKind, u16) -> Price,
    /// Credentials of an account. They open its client.
    pub credentials: CredentialSchema,
    /// Connection of each new merchant in test mode. `None`: the gateway needs an account of the merchant.
    pub default: Option<DefaultConnection>,
}

/// Connection that a new merchant has in test mode, until it connects an account.
#[derive(Clone, Copy, Debug)]
pub struct DefaultConnection {
    /// Credentials, in JSON.
    pub credentials: &'static str,
    /// Fingerprint of the account that they open.
    pub fingerprint: &'static str,
}

/// API of a gateway, with its default base URLs, without a trailing slash.
pub struct ApiDescriptor {
    pub api: GatewayApi,
    /// `None`: the gateway exists in test mode only.
    pub live: Option<&'static str>,
    /// Sandbox. `None`: the gateway needs no host.
    pub test: Option<&'static str>,
}

/// Payment method of a gateway.
pub struct MethodDescriptor {
    pub kind: PaymentMethodKind,
    /// API that serves it.
    pub api: GatewayApi,
    pub capabilities: Capabilities,
}

/// Behavior of a gateway for one payment method. Callers decide by it, and the contract suite chooses its promises by it.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// Time after the first try during which a second creation with the same reference is harmless.
    /// `None`: it never is, and the worker must search first.
    pub idempotent_for: Option<Duration>,
    /// Longest time for which a new charge may be missing from `Gateway::find`.
    pub visibility_lag: Duration,
    pub unpaid: Unpaid,
    /// True if a payer's failed payment ends the charge.
    pub declines: bool,
    pub refunds: Refunds,
    /// Time after the first try during which a second request of the same refund is harmless.
    /// `None`: it never is, and the worker must search first.
    pub refund_idempotent_for: Option<Duration>,
    pub disputes: Disputes,
    /// True if each charge carries our notification address (`ChargeRequest::notification_url`).
    pub notified_per_charge: bool,
}

/// End of a charge that is not paid in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpaid {
    /// The gateway refuses payments after the last instant.
    Expires,
    /// The gateway reports the charge as overdue and accepts payments until it is canceled or its registration ends.
    StaysPayable,
}

/// Refunds through the gateway's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refunds {
    /// Of any part of the payment, each found by our reference.
    InParts,
    /// Found by our reference only if it refunds the whole payment.
    Whole,
    /// None, for this reason, which is a text for people.
    Unsupported(&'static str),
}

/// Disputes that the gateway reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disputes {
    Unreported,
    /// By the payment's status alone.
    ByStatus,
    /// As objects. The merchant cannot contest them.
    Final,
    /// As objects. The merchant may win them.
    Contestable,
}

/// Behavior of a gateway's notifications.
#[derive(Clone, Copy, Debug)]
pub struct WebhookCapabilities {
    /// True if notifications carry a token of ours, which is stored before it is sent to the gateway.
    pub takes_token: bool,
    /// True if the gateway has only one notification address, so that registering ours replaces the former one.
    pub has_one_address: bool,
}

impl Capabilities {
    /// Capabilities of a method that the gateway does not serve: nothing is assumed.
    const UNSERVED: Self = Self {
        idempotent_for: None,
        visibility_lag: Duration::ZERO,
        unpaid: Unpaid::StaysPayable,
        declines: false,
        refunds: Refunds::Unsupported("the gateway does not serve this method"),
        refund_idempotent_for: None,
        disputes: Disputes::Unreported,
        notified_per_charge: false,
    };

    /// Checks that a payment can be refunded through the gateway's API. The error is the reason why not, for people.
    pub fn refundable(&self) -> Result<(), &'static str> {
        match self.refunds {
            Refunds::InParts | Refunds::Whole => Ok(()),
            Refunds::Unsupported(why) => Err(why),
        }
    }
}

impl Descriptor {
    /// Returns the description of a method; `None` if the gateway does not serve it.
    pub fn method(&self, method: PaymentMethodKind) -> Option<&'static MethodDescriptor> {
        self.methods.iter().find(|served| served.kind == method)
    }

    /// Returns the capabilities for a method.
    pub fn capabilities(&self, method: PaymentMethodKind) -> &'static Capabilities {
        self.method(method)
            .map_or(&Capabilities::UNSERVED, |served| &served.capabilities)
    }
}

/// Returns true if the account is that of a default connection.
pub fn is_default(fingerprint: &str) -> bool {
    let defaults = GATEWAYS.iter().filter_map(|gateway| gateway.default);
    defaults
        .map(|default| default.fingerprint)
        .any(|default| default == fingerprint)
}

/// Returns the description of a gateway.
pub fn descriptor(kind: GatewayKind) -> &'static Descriptor {
    let found = GATEWAYS.iter().find(|gateway| gateway.kind == kind);
    found.expect("each kind is listed in GATEWAYS")
}

/// Returns the API of a gateway that serves a method; `None` if the gateway does not serve it.
pub fn api(kind: GatewayKind, method: PaymentMethodKind) -> Option<GatewayApi> {
    descriptor(kind).method(method).map(|served| served.api)
}

/// Checks that a payment by `method` can be refunded through a gateway's API. The error is the reason why not, for people.
pub fn refundable(kind: GatewayKind, method: PaymentMethodKind) -> Result<(), &'static str> {
    descriptor(kind).capabilities(method).refundable()
}

/// Payment whose fee is estimated.
#[derive(Clone, Copy, Debug)]
pub struct FeeEstimate {
    pub gateway: GatewayKind,
    pub method: PaymentMethodKind,
    /// Amount in centavos.
    pub amount: i64,
    /// Number of installments of a card payment.
    pub installments: u16,
}

impl FeeEstimate {
    /// Returns the data of a payment that determine its fee.
    pub fn of(gateway: GatewayKind, payment: &GatewayPayment) -> Self {
        Self {
            gateway,
            method: payment.method,
            amount: payment.amount,
            installments: payment.installments.unwrap_or(1),
        }
    }

    /// Returns the fee in centavos: by the merchant's own price, else by the gateway's price list.
    pub fn fee(self, prices: &Prices) -> i64 {
        own_price(prices, self.gateway, self.method)
            .unwrap_or_else(|| (descriptor(self.gateway).price)(self.method, self.installments))
            .of(self.amount)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn each_kind_and_each_api_belongs_to_one_gateway() {
        let kinds: Vec<_> = GATEWAYS.iter().map(|gateway| gateway.kind).collect();
        for kind in GatewayKind::iter() {
            assert_eq!(kinds.iter().filter(|one| **one == kind).count(), 1);
        }
        let apis = GATEWAYS.iter().flat_map(|gateway| gateway.apis);
        let apis: Vec<_> = apis.map(|api| api.api).collect();
        for api in GatewayApi::iter() {
            assert_eq!(apis.iter().filter(|one| **one == api).count(), 1);
        }
        for gateway in GATEWAYS {
            let own: HashSet<_> = gateway.apis.iter().map(|api| api.api).collect();
            let served = gateway.methods.iter().map(|method| method.api);
            assert!(
                served
                    .chain(gateway.feeds.iter().map(|feed| feed.api))
                    .all(|api| own.contains(&api))
            );
        }
    }

    fn fee(gateway: GatewayKind, method: PaymentMethodKind, amount: i64, installments: u16) -> i64 {
        let payment = FeeEstimate {
            gateway,
            method,
            amount,
            installments,
        };
        payment.fee(&Prices::new())
    }

    #[test]
    fn the_lists_prices_are_met_to_the_centavo() {
        use GatewayKind::{Asaas, Efi, Stripe};
        use PaymentMethodKind::{Card, Pix};
        for (gateway, method, amount, installments, expected) in [
            (Asaas, Pix, 10_000, 1, 199),
            (Asaas, Card, 10_000, 1, 348),
            (Efi, Pix, 12_345, 1, 147),
            (Efi, Card, 10_000, 7, 439),
            (Stripe, Card, 10_000, 1, 438),
        ] {
            assert_eq!(fee(gateway, method, amount, installments), expected);
        }
    }

    #[test]
    fn a_merchants_own_price_goes_before_the_list() {
        let own = Price { bps: 100, fixed: 1 };
        let prices = Prices::from([(
            GatewayKind::Efi,
            BTreeMap::from([(PaymentMethodKind::Pix, own)]),
        )]);
        let pix = FeeEstimate {
            gateway: GatewayKind::Efi,
            method: PaymentMethodKind::Pix,
            amount: 10_000,
            installments: 1,
        };
        let boleto = FeeEstimate {
            method: PaymentMethodKind::Boleto,
            ..pix
        };
        assert_eq!((pix.fee(&prices), boleto.fee(&prices)), (101, 345));
    }
}
