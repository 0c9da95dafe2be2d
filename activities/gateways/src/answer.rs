//! Gateway answers in our types.

use std::fmt;

use chrono::NaiveDate;
use schemas::{Instant, dispute, next_action::NextAction, payment_method::PaymentMethodKind};
use serde::{Deserialize, Serialize};
use url::Url;

/// State of a charge at its gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatewayCharge {
    /// Gateway's id of the charge (`txid`, `pi_…`, `pay_…`).
    pub id: String,
    /// Our reference, if the gateway repeats it.
    pub reference: Option<String>,
    pub status: GatewayStatus,
    /// Requested amount in centavos.
    pub amount: i64,
    /// Instrument to show to the payer, while the charge is payable.
    pub next_action: Option<NextAction>,
    /// Payments received so far.
    pub payments: Vec<GatewayPayment>,
    /// Payer's id at the gateway, if the gateway has one.
    pub customer: Option<String>,
    /// Refunds so far, requested by us or by others.
    #[serde(default)]
    pub refunds: Vec<GatewayRefund>,
    /// Disputes of the charge's payments.
    #[serde(default)]
    pub disputes: Vec<GatewayDispute>,
}

impl GatewayCharge {
    /// Returns a pending charge known by its ids alone, enough to cancel it.
    pub fn known(id: impl Into<String>, reference: impl Into<String>, amount: i64) -> Self {
        Self {
            id: id.into(),
            reference: Some(reference.into()),
            status: GatewayStatus::Pending,
            amount,
            next_action: None,
            payments: Vec::new(),
            customer: None,
            refunds: Vec::new(),
            disputes: Vec::new(),
        }
    }
}

/// Status of a charge at a gateway (`docs/gateways/README.md#statuses-side-by-side`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayStatus {
    Pending,
    Overdue,
    Paid,
    Failed,
    Expired,
    Canceled,
    Refunded,
    Disputed,
}

impl GatewayStatus {
    /// Returns true if the payer can still pay the charge.
    pub fn is_payable(self) -> bool {
        matches!(self, Self::Pending | Self::Overdue)
    }
}

/// Payment received, as the gateway reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatewayPayment {
    /// Gateway's id, unique within the connection (`endToEndId`, `py_…`, `pay_…`).
    pub id: String,
    pub end_to_end_id: Option<String>,
    /// Amount in centavos.
    pub amount: i64,
    pub method: PaymentMethodKind,
    /// Gateway's fee in centavos, if it reports one.
    pub fee: Option<i64>,
    /// Amount after the fee in centavos, if the gateway reports it.
    pub net: Option<i64>,
    /// Number of monthly installments of a card payment, if the gateway reports it.
    #[serde(default)]
    pub installments: Option<u16>,
    /// Day on which the money is expected in the merchant's balance, if the gateway reports it.
    #[serde(default)]
    pub settles_on: Option<NaiveDate>,
    /// Day on which the money arrived in the balance, if the gateway reports it.
    #[serde(default)]
    pub settled_on: Option<NaiveDate>,
    pub paid_at: Instant,
}

/// Refund, as the gateway reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayRefund {
    /// Id, unique within the payment.
    pub id: String,
    /// Our reference (`RefundId::reference`), if the gateway repeats it. `None`: the refund was not requested by us.
    pub reference: Option<String>,
    /// Refunded payment: `GatewayPayment::id`.
    pub payment: String,
    /// Amount in centavos.
    pub amount: i64,
    pub status: RefundStatus,
    /// Gateway's own term for the reason of a failure or delay.
    pub reason: Option<String>,
    /// Time of the request, if the gateway reports it.
    pub created_at: Option<Instant>,
}

/// Status of a refund at a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// In progress, or waiting for a manual decision at the gateway.
    Pending,
    Succeeded,
    /// Rejected, or reversed afterwards.
    Failed,
}

/// Dispute, as the gateway reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayDispute {
    /// Id, unique within the connection.
    pub id: String,
    /// Disputed payment: `GatewayPayment::id`, or its end-to-end id.
    pub payment: String,
    /// Disputed amount in centavos.
    pub amount: i64,
    pub kind: dispute::DisputeKind,
    pub status: dispute::DisputeStatus,
    /// Gateway's own term for the reason.
    pub reason: Option<String>,
    /// Deadline for the merchant's response.
    pub respond_by: Option<Instant>,
    /// Time of opening, if the gateway reports it.
    pub created_at: Option<Instant>,
}

/// Gateway account that the credentials open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Identifies the account. Unchanged when the credentials of the same account are renewed.
    pub fingerprint: String,
    /// True if real money moves; `None` if the gateway does not report it.
    pub live: Option<bool>,
}

/// Problem found by a check of a connection's set-up at its gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Stable, machine-readable code: `notifications_interrupted`, `address_missing`, `address_replaced`, `certificate_expires`.
    pub code: &'static str,
    /// Message for people: the problem, and the required action if it was not repaired.
    pub message: String,
    /// True if the check repaired it.
    pub repaired: bool,
}

/// Result of a check of a connection's set-up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    pub issues: Vec<Issue>,
    /// Reason to register our address again.
    pub lost: Option<Issue>,
}

/// Result of registering our notification address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subscription {
    /// Registered; there is nothing to store.
    Done,
    /// Registered under an id of the gateway.
    Registered {
        id: String,
        /// Secret that the gateway generated; it is returned only once. `None`: the gateway uses the token that we sent.
        secret: Option<String>,
    },
    /// Registered in place of a third party's address, which is restored when the connection is deregistered.
    Replaced { former: Url },
    /// Not registered: a third party's address is there and was not replaced.
    Taken {
        /// Address found.
        by: String,
    },
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "Done",
            Self::Registered { .. } => "Registered",
            // an address may contain a secret
            Self::Replaced { .. } => "Replaced",
            Self::Taken { .. } => "Taken",
        })
    }
}
