//! Money received.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Instant, gateway::GatewayKind, id::PaymentId, payment_method::Kind};

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
    pub method: Kind,
    /// What the gateway keeps, in centavos; null until it tells.
    pub fee: Option<i64>,
    /// What arrives, in centavos; null until the gateway tells.
    pub net: Option<i64>,
    pub paid_at: Instant,
}
