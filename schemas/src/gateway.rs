//! The gateways, and the parts of them that fail apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::payment_method::PaymentMethodKind;

/// A payment gateway.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
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
pub enum GatewayKind {
    Efi,
    Stripe,
    Asaas,
}

impl GatewayKind {
    /// The family of its API that serves `method`.
    pub fn api(self, method: PaymentMethodKind) -> GatewayApi {
        match (self, method) {
            (Self::Efi, PaymentMethodKind::Pix) => GatewayApi::EfiPix,
            (Self::Efi, PaymentMethodKind::Boleto | PaymentMethodKind::Card) => {
                GatewayApi::EfiCobrancas
            }
            (Self::Stripe, _) => GatewayApi::Stripe,
            (Self::Asaas, _) => GatewayApi::Asaas,
        }
    }
}

/// A part of a gateway with its own hosts and credentials, hence with a circuit breaker of its own.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
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
pub enum GatewayApi {
    EfiPix,
    EfiCobrancas,
    Stripe,
    Asaas,
}

/// Whether real money moves.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    AsRefStr,
    Display,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Mode {
    Test,
    Live,
}
