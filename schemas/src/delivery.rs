//! One event for one endpoint.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumString};

use crate::{
    Instant,
    id::{DeliveryId, EndpointId, EventId},
};

/// Where a delivery stands.
#[derive(
    Clone,
    Copy,
    Debug,
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
pub enum DeliveryState {
    /// Not yet accepted; another try is due.
    Pending,
    /// Accepted by the merchant's server.
    Delivered,
    /// Given up after 30 days.
    Failed,
    /// Its endpoint was deleted.
    Discarded,
}

/// One event for one endpoint, with its tries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    pub id: DeliveryId,
    pub event: EventId,
    pub event_type: crate::event::EventType,
    pub endpoint: EndpointId,
    pub state: DeliveryState,
    /// Tries so far.
    pub attempts: i32,
    /// When it is tried next; `null` while it waits for its endpoint, which is paused or has more waiting than it takes in a minute.
    pub next_attempt_at: Option<Instant>,
    /// What the last try met: an HTTP status or what happened on the wire.
    pub last_result: Option<String>,
    pub created_at: Instant,
    pub delivered_at: Option<Instant>,
}
