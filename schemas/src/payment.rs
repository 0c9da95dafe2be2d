//! Payments: money received.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumString};

use crate::{Instant, gateway::GatewayKind, id::PaymentId, payment_method::PaymentMethodKind};

/// Status of a payment.
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
    /// The gateway reversed the payment. The amount no longer counts.
    Reversed,
}

/// A payment: money received for a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Payment {
    pub id: PaymentId,
    pub gateway: GatewayKind,
    /// The payment's id at the gateway.
    pub gateway_payment_id: String,
    /// Pix only. Id of the transfer in the Brazilian payment system.
    pub end_to_end_id: Option<String>,
    /// Amount received, in centavos.
    pub amount: i64,
    /// Payment method that the payer used.
    pub method: PaymentMethodKind,
    /// Fee of the gateway, in centavos.
    pub fee: i64,
    /// True while `fee` is our estimate, by the merchant's or the gateway's price list, because the gateway has not reported it.
    pub fee_is_estimated: bool,
    /// Net amount in centavos: `amount` minus `fee`.
    pub net: i64,
    /// Card only. Number of monthly installments, if the gateway reports it.
    pub installments: Option<i32>,
    /// Expected day of settlement in the merchant's balance, if the gateway reports it.
    pub settles_on: Option<NaiveDate>,
    /// Day of settlement in the merchant's balance, if the gateway reports it.
    pub settled_on: Option<NaiveDate>,
    pub paid_at: Instant,
    /// Status of the payment: received or reversed.
    #[serde(default)]
    pub status: PaymentStatus,
    /// Time at which this service received the reversal. Null if the payment was not reversed.
    #[serde(default)]
    pub reversed_at: Option<Instant>,
}
