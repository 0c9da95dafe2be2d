//! Everything that happened to a charge, in order.

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

/// What happened to a charge, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    pub data: Vec<TimelineEntry>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineEntry {
    pub at: Instant,
    #[serde(flatten)]
    pub what: TimelineItem,
}

/// The kinds of thing that happen to a charge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TimelineItem {
    /// A gateway was tried.
    Attempt { attempt: Attempt },
    /// The charge changed.
    Event {
        id: EventId,
        event: event::EventType,
        sequence: i64,
    },
    /// A gateway told us something.
    Notification {
        /// Null where we read it in the gateway's own list.
        id: Option<NotificationId>,
        gateway: GatewayKind,
        event: String,
        /// How often the same was told.
        received_count: i32,
        handled_at: Option<Instant>,
    },
    /// Money was given back.
    Refund { refund: Refund },
    /// Money was claimed back.
    Dispute { dispute: Dispute },
    /// The merchant was told.
    Delivery { delivery: Delivery },
}
