//! What we ask of a gateway.

use schemas::{
    Instant,
    payer::Payer,
    payment_method::{PaymentMethod, PaymentMethodKind},
};
use serde::{Deserialize, Serialize};
use url::Url;

/// Everything a gateway needs to create one charge, and to find it again.
///
/// Stored with its attempt, sealed under the payer's key, before the first byte is sent, and never changed afterwards: the request
/// bodies are a pure function of it, so that a repeated send is the same to the byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChargeRequest {
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
    /// Our notification address at this connection, for gateways that take it with each charge (Efí Cobranças).
    #[serde(default)]
    pub notification_url: Option<Url>,
}

/// All that finds a charge at its gateway again: nothing of it is personal, so that it outlives the payer's erasure.
#[derive(Clone, Debug, PartialEq)]
pub struct ChargeLookup {
    /// [`ChargeOrder::reference`].
    pub reference: String,
    /// In centavos.
    pub amount: i64,
    pub method: PaymentMethod,
    /// When the attempt was made; bounds searches.
    pub created_at: Instant,
    /// The last instant at which the charge may be paid.
    pub expires_at: Instant,
    /// The charge's id at its gateway, once known: read by it, where a search by reference would be slow, late or incomplete.
    pub gateway_id: Option<String>,
}

impl ChargeRequest {
    /// What finds the charge of this order again.
    pub fn lookup(&self) -> ChargeLookup {
        ChargeLookup {
            reference: self.reference.clone(),
            amount: self.amount,
            method: self.method.clone(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            gateway_id: None,
        }
    }
}

/// Everything a gateway needs to give money back once, and to find that again. Stored with the refund and never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundRequest {
    /// Our reference at the gateway: `RefundId::reference()`, 28 letters and digits.
    pub reference: String,
    /// The charge's id at the gateway (`txid`, `pi_…`, `cs_…`, `pay_…`).
    pub charge: String,
    /// The charge's own reference there: `AttemptId::reference()`.
    pub charge_reference: String,
    /// The payment's id at the gateway: `GatewayPayment::id`.
    pub payment: String,
    pub end_to_end_id: Option<String>,
    pub method: PaymentMethodKind,
    /// In centavos.
    pub amount: i64,
    /// Whether it gives back all of the payment, and nothing of it was given back before.
    pub is_whole: bool,
    /// For people.
    pub reason: Option<String>,
    pub created_at: Instant,
}
