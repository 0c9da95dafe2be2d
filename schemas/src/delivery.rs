//! Deliveries: one event for one endpoint each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{
    Instant,
    id::{DeliveryId, EndpointId, EventId},
};

/// State of a delivery.
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
    EnumIter,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DeliveryState {
    /// Not accepted yet. Another try follows.
    Pending,
    /// Accepted by the merchant's server.
    Delivered,
    /// Given up after 30 days.
    Failed,
    /// Discarded because its endpoint was deleted.
    Discarded,
}

/// A delivery: one event for one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    pub id: DeliveryId,
    pub event: EventId,
    pub event_type: crate::event::EventType,
    pub endpoint: EndpointId,
    pub state: DeliveryState,
    /// Number of tries so far.
    pub attempts: i32,
    /// Time of the next try. Null while the delivery waits for its endpoint, which is paused or has more deliveries waiting than
    /// it accepts in a minute.
    pub next_attempt_at: Option<Instant>,
    /// Result of the last try: an HTTP status or a network error.
    pub last_result: Option<String>,
    pub created_at: Instant,
    pub delivered_at: Option<Instant>,
}
