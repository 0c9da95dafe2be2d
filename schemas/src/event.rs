//! Events: facts that are delivered to a merchant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{
    Instant,
    charge::ChargeStatus,
    dispute,
    gateway::Mode,
    id::{ChargeId, ConnectionId, DisputeId, EndpointId, EventId, RefundId},
    refund,
};

/// Version of the format of an event's `data`.
pub const API_VERSION: &str = "2026-11-01";

/// Type of an event.
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
    EnumIter,
    EnumString,
)]
pub enum EventType {
    #[serde(rename = "charge.pending")]
    #[strum(serialize = "charge.pending")]
    ChargePending,
    #[serde(rename = "charge.overdue")]
    #[strum(serialize = "charge.overdue")]
    ChargeOverdue,
    #[serde(rename = "charge.paid")]
    #[strum(serialize = "charge.paid")]
    ChargePaid,
    #[serde(rename = "charge.expired")]
    #[strum(serialize = "charge.expired")]
    ChargeExpired,
    #[serde(rename = "charge.canceled")]
    #[strum(serialize = "charge.canceled")]
    ChargeCanceled,
    #[serde(rename = "charge.failed")]
    #[strum(serialize = "charge.failed")]
    ChargeFailed,
    #[serde(rename = "charge.refunded")]
    #[strum(serialize = "charge.refunded")]
    ChargeRefunded,
    #[serde(rename = "charge.disputed")]
    #[strum(serialize = "charge.disputed")]
    ChargeDisputed,
    #[serde(rename = "charge.needs_review")]
    #[strum(serialize = "charge.needs_review")]
    ChargeNeedsReview,
    /// A further payment on a charge that was already paid, or a payment on a charge that was no longer payable while another
    /// charge with the same reference is payable or paid. In the second case, `data.duplicate_of` is the other charge's id.
    #[serde(rename = "charge.duplicate_payment")]
    #[strum(serialize = "charge.duplicate_payment")]
    ChargeDuplicatePayment,
    /// The gateway reversed a payment, such as a cash receipt that was undone in its dashboard. The charge is payable again, or needs
    /// review.
    #[serde(rename = "charge.payment_reversed")]
    #[strum(serialize = "charge.payment_reversed")]
    ChargePaymentReversed,
    /// A refund was requested.
    #[serde(rename = "refund.pending")]
    #[strum(serialize = "refund.pending")]
    RefundPending,
    #[serde(rename = "refund.succeeded")]
    #[strum(serialize = "refund.succeeded")]
    RefundSucceeded,
    #[serde(rename = "refund.failed")]
    #[strum(serialize = "refund.failed")]
    RefundFailed,
    #[serde(rename = "refund.needs_review")]
    #[strum(serialize = "refund.needs_review")]
    RefundNeedsReview,
    /// The payer disputes a payment.
    #[serde(rename = "dispute.needs_response")]
    #[strum(serialize = "dispute.needs_response")]
    DisputeNeedsResponse,
    #[serde(rename = "dispute.under_review")]
    #[strum(serialize = "dispute.under_review")]
    DisputeUnderReview,
    #[serde(rename = "dispute.won")]
    #[strum(serialize = "dispute.won")]
    DisputeWon,
    #[serde(rename = "dispute.lost")]
    #[strum(serialize = "dispute.lost")]
    DisputeLost,
    /// A connection needs manual action: its credentials were refused, or its certificate expires soon.
    #[serde(rename = "gateway_connection.action_required")]
    #[strum(serialize = "gateway_connection.action_required")]
    GatewayConnectionActionRequired,
    /// An endpoint failed for too long. Its deliveries wait.
    #[serde(rename = "webhook_endpoint.paused")]
    #[strum(serialize = "webhook_endpoint.paused")]
    WebhookEndpointPaused,
    /// Deliveries to an endpoint were given up 30 days after their first try. Sent at most once a day for each endpoint.
    /// The deliveries can be resent.
    #[serde(rename = "webhook_endpoint.delivery_failed")]
    #[strum(serialize = "webhook_endpoint.delivery_failed")]
    WebhookEndpointDeliveryFailed,
}

impl EventType {
    /// Returns the event for a charge that reaches `status`, if there is one.
    pub fn of_charge(status: ChargeStatus) -> Option<Self> {
        match status {
            ChargeStatus::Processing => None,
            ChargeStatus::Pending => Some(Self::ChargePending),
            ChargeStatus::Overdue => Some(Self::ChargeOverdue),
            ChargeStatus::Paid => Some(Self::ChargePaid),
            ChargeStatus::Expired => Some(Self::ChargeExpired),
            ChargeStatus::Canceled => Some(Self::ChargeCanceled),
            ChargeStatus::Failed => Some(Self::ChargeFailed),
            ChargeStatus::Refunded => Some(Self::ChargeRefunded),
            ChargeStatus::Disputed => Some(Self::ChargeDisputed),
            ChargeStatus::NeedsReview => Some(Self::ChargeNeedsReview),
        }
    }

    /// Returns the event for a refund that reaches `status`.
    pub fn of_refund(status: refund::RefundStatus) -> Self {
        match status {
            refund::RefundStatus::Pending => Self::RefundPending,
            refund::RefundStatus::Succeeded => Self::RefundSucceeded,
            refund::RefundStatus::Failed => Self::RefundFailed,
            refund::RefundStatus::NeedsReview => Self::RefundNeedsReview,
        }
    }

    /// Returns the event for a dispute that reaches `status`.
    pub fn of_dispute(status: dispute::DisputeStatus) -> Self {
        match status {
            dispute::DisputeStatus::NeedsResponse => Self::DisputeNeedsResponse,
            dispute::DisputeStatus::UnderReview => Self::DisputeUnderReview,
            dispute::DisputeStatus::Won => Self::DisputeWon,
            dispute::DisputeStatus::Lost => Self::DisputeLost,
        }
    }
}

/// Subject of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventSubject {
    /// Kind of the subject: `charge`, `refund`, `dispute`, `gateway_connection` or `webhook_endpoint`.
    #[serde(rename = "type")]
    pub kind: EventSubjectKind,
    /// Id of the subject, with the prefix of its kind.
    pub id: String,
}

/// Kind of an event's subject.
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
    EnumIter,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EventSubjectKind {
    Charge,
    Refund,
    Dispute,
    GatewayConnection,
    WebhookEndpoint,
}

impl EventSubjectKind {
    /// Returns the subject of this kind with the given id.
    pub fn name(self, id: uuid::Uuid) -> EventSubject {
        let id = match self {
            Self::Charge => ChargeId(id).to_string(),
            Self::Refund => RefundId(id).to_string(),
            Self::Dispute => DisputeId(id).to_string(),
            Self::GatewayConnection => ConnectionId(id).to_string(),
            Self::WebhookEndpoint => EndpointId(id).to_string(),
        };
        EventSubject { kind: self, id }
    }
}

/// An event, as it is delivered and listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Id of the event. It is also the `webhook-id` of each of its deliveries.
    pub id: EventId,
    #[serde(rename = "type")]
    pub kind: EventType,
    /// Version of the format of `data`.
    pub api_version: String,
    pub mode: Mode,
    pub created_at: Instant,
    pub subject: EventSubject,
    /// Number of the event within its subject, from 1 without gaps. A higher number is a later event.
    pub sequence: i64,
    /// Snapshot of the subject at the time of the event, with the payer masked.
    pub data: serde_json::Value,
}
