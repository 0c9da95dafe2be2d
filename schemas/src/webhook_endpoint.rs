//! Where a merchant listens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumString};
use url::Url;

use crate::{Instant, event, gateway::Mode, id::EndpointId};

/// Whether deliveries are sent.
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
pub enum WebhookEndpointStatus {
    Active,
    /// Failed for too long, or answered 410: deliveries wait, and a probe every ten minutes resumes it.
    Paused,
    /// Deleted: receives nothing any more.
    Deleted,
}

/// What a merchant sends to listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateWebhookEndpoint {
    /// Where events are posted. HTTPS, and not an address of a private network.
    #[schemars(length(max = 500))]
    pub url: Url,
    /// Which events; all of them unless told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub events: Vec<event::EventType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 140))]
    pub description: Option<String>,
}

/// A place where a merchant listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookEndpoint {
    pub id: EndpointId,
    pub mode: Mode,
    pub url: Url,
    /// Which events; empty means all.
    pub events: Vec<event::EventType>,
    pub description: Option<String>,
    pub status: WebhookEndpointStatus,
    /// The shape of events sent here.
    pub api_version: String,
    /// `whsec_…`, the key of the signatures (Standard Webhooks). Told only when the endpoint is created.
    pub secret: Option<String>,
    pub created_at: Instant,
    pub paused_at: Option<Instant>,
    /// When a delivery to it was last given up, 30 days after its first try. Null if none was. The event is not sent again by itself.
    pub delivery_failed_at: Option<Instant>,
}
