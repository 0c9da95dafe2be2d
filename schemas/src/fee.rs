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

/// Returns the merchant's own price of a payment by `method` at `gateway`; `None`: the gateway's price list applies.
pub fn own_price(
    prices: &Prices,
    gateway: GatewayKind,
    method: PaymentMethodKind,
) -> Option<Price> {
    prices.get(&gateway)?.get(&method).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_rounded_half_up_to_the_centavo() {
        for (bps, fixed, amount, fee) in [
            (119, 0, 12_345, 147),
            (119, 0, 42, 0),
            (119, 0, 43, 1),
            (299, 49, 10_000, 348),
            (0, 199, i64::MAX, 199),
        ] {
            assert_eq!(Price { bps, fixed }.of(amount), fee, "{bps} {amount}");
        }
    }
}
