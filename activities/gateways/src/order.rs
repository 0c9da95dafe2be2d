//! Requests to gateways.

use schemas::{
    Instant,
    payer::Payer,
    payment_method::{PaymentMethod, PaymentMethodKind},
};
use serde::{Deserialize, Serialize};
use url::Url;

/// Data that a gateway needs to create one charge, and to find it again.
///
/// Stored with its attempt, sealed under the payer's key, before the first byte is sent, and never changed afterwards. The request
/// bodies are a pure function of it, so a repeated request is identical to the byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChargeRequest {
    /// Our reference at the gateway: `AttemptId::reference()`, 28 letters and digits.
    pub reference: String,
    /// Amount in centavos.
    pub amount: i64,
    pub method: PaymentMethod,
    /// Time of the attempt's creation; limits searches.
    pub created_at: Instant,
    /// Last instant at which the charge may be paid.
    pub expires_at: Instant,
    pub payer: Payer,
    /// Payer's id at this gateway, once known (Asaas).
    pub customer: Option<String>,
    pub description: Option<String>,
    /// Our notification address of this connection, for gateways that need it with each charge (Efí Cobranças).
    #[serde(default)]
    pub notification_url: Option<Url>,
}

/// Data that find a charge at its gateway. None of them is personal, so they outlive the payer's erasure.
#[derive(Clone, Debug, PartialEq)]
pub struct ChargeLookup {
    /// [`ChargeRequest::reference`].
    pub reference: String,
    /// Amount in centavos.
    pub amount: i64,
    pub method: PaymentMethod,
    /// Time of the attempt's creation; limits searches.
    pub created_at: Instant,
    /// Last instant at which the charge may be paid.
    pub expires_at: Instant,
    /// Charge's id at its gateway, once known. It is used where a search by reference would be slow, delayed or incomplete.
    pub gateway_id: Option<String>,
}

impl ChargeRequest {
    /// Returns the data that find this order's charge.
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

/// Data that a gateway needs to refund once, and to find the refund again. Stored with the refund and never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundRequest {
    /// Our reference at the gateway: `RefundId::reference()`, 28 letters and digits.
    pub reference: String,
    /// Charge's id at the gateway (`txid`, `pi_…`, `cs_…`, `pay_…`).
    pub charge: String,
    /// Charge's own reference at the gateway: `AttemptId::reference()`.
    pub charge_reference: String,
    /// Payment's id at the gateway: `GatewayPayment::id`.
    pub payment: String,
    pub end_to_end_id: Option<String>,
    pub method: PaymentMethodKind,
    /// Amount in centavos.
    pub amount: i64,
    /// True if it refunds the whole payment, of which nothing was refunded before.
    pub is_whole: bool,
    /// Reason, for people.
    pub reason: Option<String>,
    pub created_at: Instant,
}
