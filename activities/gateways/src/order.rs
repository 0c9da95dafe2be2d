//! What we ask of a gateway.

use schemas::{Instant, payer::Payer, payment_method::PaymentMethod};
use serde::{Deserialize, Serialize};

/// Everything a gateway needs to create one charge, and to find it again.
///
/// Stored (sealed) with its attempt before the first byte is sent, and never changed afterwards: the request bodies are a
/// pure function of it, so that a repeated send is the same to the byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChargeOrder {
    /// Our reference at the gateway: `AttemptId::reference()`, 28 letters and digits.
    pub reference: String,
    /// In centavos.
    pub amount: i64,
    pub method: PaymentMethod,
    /// When the attempt was made; bounds searches.
    pub created_at: Instant,
    /// The last instant at which the charge may be paid.
    pub expires_at: Instant,
    pub payer: Payer,
    /// The payer's id at this gateway, once known (Asaas).
    pub customer: Option<String>,
    pub description: Option<String>,
}
