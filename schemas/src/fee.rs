//! Gateway fees: estimates until the gateway reports the actual fee.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{gateway::GatewayKind, payment_method::PaymentMethodKind};

/// 100% in basis points.
const WHOLE_BPS: i64 = 10_000;

/// A price: a share of the amount plus a fixed sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// Share of the amount in basis points, from 0 to 10000: `119` is 1.19%. Defaults to 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10_000))]
    pub bps: i64,
    /// Fixed sum per payment in centavos. Defaults to 0.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub fixed: i64,
}

impl Price {
    /// Returns the fee for `amount` in centavos, rounded half up.
    pub fn of(self, amount: i64) -> i64 {
        let part = i128::from(amount) * i128::from(self.bps) + i128::from(WHOLE_BPS / 2);
        let part = i64::try_from(part / i128::from(WHOLE_BPS)).unwrap_or(i64::MAX);
        part.saturating_add(self.fixed)
    }
}

/// A merchant's own prices, where they differ from the gateways' price lists.
pub type Prices = BTreeMap<GatewayKind, BTreeMap<PaymentMethodKind, Price>>;

/// Returns the estimated fee of one payment in centavos: by the merchant's own price, else by the gateway's price list
/// (`docs/gateways/README.md#fees`, May 2026). `installments` is the number of installments of a card payment.
pub fn estimate(
    prices: &Prices,
    (gateway, method): (GatewayKind, PaymentMethodKind),
    amount: i64,
    installments: u16,
) -> i64 {
    let own = prices
        .get(&gateway)
        .and_then(|methods| methods.get(&method));
    own.copied()
        .unwrap_or_else(|| listed(gateway, method, installments))
        .of(amount)
}

fn listed(gateway: GatewayKind, method: PaymentMethodKind, installments: u16) -> Price {
    let price = |bps, fixed| Price { bps, fixed };
    match (gateway, method) {
        (GatewayKind::Efi | GatewayKind::Stripe, PaymentMethodKind::Pix) => price(119, 0),
        (GatewayKind::Efi | GatewayKind::Stripe, PaymentMethodKind::Boleto) => price(0, 345),
        (GatewayKind::Efi, PaymentMethodKind::Card) => match installments {
            0 | 1 => price(349, 0),
            2..=6 => price(399, 0),
            _ => price(439, 0),
        },
        (GatewayKind::Stripe, PaymentMethodKind::Card) => price(399, 39),
        (GatewayKind::Asaas, PaymentMethodKind::Pix | PaymentMethodKind::Boleto) => price(0, 199),
        (GatewayKind::Asaas, PaymentMethodKind::Card) => price(299, 49),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_prices_are_met_to_the_centavo() {
        let none = Prices::new();
        let fee =
            |gateway, method, amount, parts| estimate(&none, (gateway, method), amount, parts);
        assert_eq!(
            fee(GatewayKind::Asaas, PaymentMethodKind::Pix, 10_000, 1),
            199
        );
        assert_eq!(
            fee(GatewayKind::Asaas, PaymentMethodKind::Card, 10_000, 1),
            348
        );
        assert_eq!(
            fee(GatewayKind::Efi, PaymentMethodKind::Pix, 12_345, 1),
            147
        );
        assert_eq!(
            fee(GatewayKind::Efi, PaymentMethodKind::Card, 10_000, 7),
            439
        );
        assert_eq!(
            fee(GatewayKind::Stripe, PaymentMethodKind::Card, 10_000, 1),
            438
        );
    }

    #[test]
    fn a_merchants_own_price_goes_before_the_list() {
        let own = Price { bps: 100, fixed: 1 };
        let prices = Prices::from([(
            GatewayKind::Efi,
            BTreeMap::from([(PaymentMethodKind::Pix, own)]),
        )]);
        assert_eq!(
            estimate(
                &prices,
                (GatewayKind::Efi, PaymentMethodKind::Pix),
                10_000,
                1
            ),
            101
        );
        assert_eq!(
            estimate(
                &prices,
                (GatewayKind::Efi, PaymentMethodKind::Boleto),
                10_000,
                1
            ),
            345
        );
    }
}
