//! Timeline of a charge.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Instant,
    attempt::Attempt,
    delivery::Delivery,
    dispute::Dispute,
    event,
    gateway::GatewayKind,
    id::{EventId, NotificationId},
    refund::Refund,
};

/// Everything that happened to a charge, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    pub data: Vec<TimelineEntry>,
}

/// One entry of a timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineEntry {
    pub at: Instant,
    #[serde(flatten)]
    pub what: TimelineItem,
}

/// Content of a timeline entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TimelineItem {
    /// An attempt at a gateway.
    Attempt { attempt: Attempt },
    /// A change of the charge.
    Event {
        id: EventId,
        event: event::EventType,
        sequence: i64,
    },
    /// A notification from a gateway, or the same fact read from the gateway's own list.
    Notification {
        /// Id of the notification. Null if the fact was read from the gateway's own list.
        id: Option<NotificationId>,
        gateway: GatewayKind,
        event: String,
        /// Number of times this notification was received.
        received_count: i32,
        handled_at: Option<Instant>,
    },
    /// A refund.
    Refund { refund: Refund },
    /// A dispute.
    Dispute { dispute: Dispute },
    /// A delivery of an event to the merchant.
    Delivery { delivery: Delivery },
}
