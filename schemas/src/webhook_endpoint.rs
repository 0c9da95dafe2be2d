//! Webhook endpoints: URLs at which a merchant receives events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};
use url::Url;

use crate::{Instant, event, gateway::Mode, id::EndpointId};

/// Status of a webhook endpoint.
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
pub enum WebhookEndpointStatus {
    Active,
    /// Failed for too long, or answered 410. Deliveries wait; a successful probe resumes the endpoint. Probes are sent every ten
    /// minutes.
    Paused,
    /// Deleted. No more deliveries are sent.
    Deleted,
}

/// Request to create a webhook endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateWebhookEndpoint {
    /// URL to which events are posted, up to 500 characters. Must be HTTPS, and not an address of a private network.
    #[schemars(length(max = 500))]
    pub url: Url,
    /// Types of the events to send, up to 50. Defaults to all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub events: Vec<event::EventType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 140))]
    pub description: Option<String>,
}

/// A webhook endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookEndpoint {
    pub id: EndpointId,
    pub mode: Mode,
    pub url: Url,
    /// Types of the events to send. Empty means all.
    pub events: Vec<event::EventType>,
    pub description: Option<String>,
    pub status: WebhookEndpointStatus,
    /// Version of the format of the events sent to this endpoint.
    pub api_version: String,
    /// Key of the signatures (Standard Webhooks): `whsec_…`. Returned only when the endpoint is created.
    pub secret: Option<String>,
    pub created_at: Instant,
    pub paused_at: Option<Instant>,
    /// Time at which a delivery to this endpoint was last given up, 30 days after its first try. Null if none was. The event is
    /// not sent again automatically.
    pub delivery_failed_at: Option<Instant>,
}
