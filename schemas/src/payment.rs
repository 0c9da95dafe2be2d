//! Money received.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumString};

use crate::{Instant, gateway::GatewayKind, id::PaymentId, payment_method::PaymentMethodKind};

/// Where a payment stands.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    AsRefStr,
    Display,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PaymentStatus {
    /// The money was received.
    #[default]
    Received,
    /// The gateway took the receipt back; the amount no longer counts.
    Reversed,
}

/// Money received for a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Payment {
    pub id: PaymentId,
    pub gateway: GatewayKind,
    /// The payment's id at the gateway.
    pub gateway_payment_id: String,
    /// Pix only: the transfer's id in the Brazilian payment system.
    pub end_to_end_id: Option<String>,
    /// Received, in centavos.
    pub amount: i64,
    /// The method that was really used.
    pub method: PaymentMethodKind,
    /// What the gateway keeps, in centavos.
    pub fee: i64,
    /// Whether `fee` is our estimate, by the merchant's or the gateway's price list: the gateway has not told yet.
    pub fee_is_estimated: bool,
    /// What arrives, in centavos: amount less fee.
    pub net: i64,
    /// Card only: into how many monthly installments it was split, if the gateway tells.
    pub installments: Option<i32>,
    /// When the money is expected in the merchant's balance, if the gateway tells.
    pub settles_on: Option<NaiveDate>,
    /// When it arrived there, if the gateway tells.
    pub settled_on: Option<NaiveDate>,
    pub paid_at: Instant,
    /// Whether the receipt still stands.
    #[serde(default)]
    pub status: PaymentStatus,
    /// When we learned that the gateway took the receipt back.
    #[serde(default)]
    pub reversed_at: Option<Instant>,
}
