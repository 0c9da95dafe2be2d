//! Merchants: status, permissions of API keys, settings.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{breaker, fee::Prices, payment_method::PaymentMethodKind};

/// Status of a merchant.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    AsRefStr,
    Display,
    EnumIter,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MerchantStatus {
    Active,
    /// Creates nothing new; still receives, refunds and delivers.
    Suspended,
    Closed,
}

/// Permission of an API key. Each permission includes the previous ones.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    AsRefStr,
    Display,
    EnumIter,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Permission {
    Read,
    Payments,
    Configuration,
}

/// Handling of a request for a second charge with the `reference` of an open one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateReference {
    /// Returns the open charge. A request with another amount or method is answered with 409. The default.
    #[default]
    ReturnOpen,
    /// Answers with 409.
    Reject,
    /// Creates a second charge.
    Allow,
}

/// Handling of a charge while the outcome of an attempt is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Tries the next gateway. Anything that the first one created is voided.
    #[default]
    Failover,
    /// Waits until the outcome is known.
    Hold,
}

/// Settings of a merchant. Every setting has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MerchantSettings {
    pub duplicate_reference: DuplicateReference,
    /// Handling of an unknown outcome by payment method: `{"boleto": "hold"}`. If a method is not set, a boleto waits for up to
    /// one minute and then tries the next gateway; the other methods try it at once.
    pub on_unknown: BTreeMap<PaymentMethodKind, OnUnknown>,
    pub breaker: breaker::BreakerSettings,
    /// The merchant's own prices, where they differ from the gateways' price lists: `{"efi": {"pix": {"bps": 99}}}`.
    pub prices: Prices,
}

impl MerchantSettings {
    /// Reads stored settings, written by any version. A field that this version cannot read gets its default, so that
    /// one merchant's settings never stop a charge. The second value lists those fields.
    pub fn read(stored: &Value) -> (Self, Vec<&'static str>) {
        let mut unreadable = Vec::new();
        let settings = Self {
            duplicate_reference: field(stored, "duplicate_reference", &mut unreadable),
            on_unknown: field(stored, "on_unknown", &mut unreadable),
            breaker: field(stored, "breaker", &mut unreadable),
            prices: field(stored, "prices", &mut unreadable),
        };
        if !stored.is_object() {
            unreadable.push("settings");
        }
        (settings, unreadable)
    }
}

fn field<T: Default + DeserializeOwned>(
    stored: &Value,
    name: &'static str,
    unreadable: &mut Vec<&'static str>,
) -> T {
    match stored.get(name).map(T::deserialize) {
        None => T::default(),
        Some(Ok(value)) => value,
        Some(Err(_)) => {
            unreadable.push(name);
            T::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_of_a_newer_version_are_read_as_far_as_they_are_understood() {
        let stored = json!({
            "duplicate_reference": "ask_the_merchant", "color": "red", "on_unknown": { "boleto": "hold" },
            "breaker": { "open_s": 7, "half_life_s": 3 },
            "prices": { "efi": { "pix": { "bps": 99, "tier": 2 } } },
        });
        let (settings, unreadable) = MerchantSettings::read(&stored);
        assert_eq!(unreadable, ["duplicate_reference"]);
        assert_eq!(settings.duplicate_reference, DuplicateReference::ReturnOpen);
        assert_eq!(
            settings.on_unknown[&PaymentMethodKind::Boleto],
            OnUnknown::Hold
        );
        assert_eq!(settings.breaker.open_s, 7);
        assert_eq!(MerchantSettings::read(&json!(3)).1, ["settings"]);
    }

    #[test]
    fn every_setting_is_read() {
        let settings = MerchantSettings {
            duplicate_reference: DuplicateReference::Reject,
            on_unknown: BTreeMap::from([(PaymentMethodKind::Pix, OnUnknown::Hold)]),
            ..MerchantSettings::default()
        };
        let stored = serde_json::to_value(&settings).expect("settings serialize");
        assert_eq!(MerchantSettings::read(&stored), (settings, Vec::new()));
    }
}
