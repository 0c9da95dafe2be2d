//! Where work is queued, and by what name it is found.

use std::time::Duration;

use temporalio_common::search_attributes::SearchAttributeKey;

/// Search attributes, registered by `orchestrator migrate`.
pub const MERCHANT_ID: SearchAttributeKey<String> = SearchAttributeKey::keyword("MerchantId");
/// The charge that a workflow serves.
pub const CHARGE_ID: SearchAttributeKey<String> = SearchAttributeKey::keyword("ChargeId");
/// The endpoint that a delivery goes to.
pub const ENDPOINT_ID: SearchAttributeKey<String> = SearchAttributeKey::keyword("EndpointId");
/// Their names, all of type Keyword.
pub const SEARCH_ATTRIBUTES: [&str; 3] = ["MerchantId", "ChargeId", "EndpointId"];

/// What bounds recovery after a worker died in the middle of a local activity.
pub(crate) const TASK_TIMEOUT: Duration = Duration::from_secs(3);

/// The task queues: one per kind of work.
#[derive(Clone, Debug)]
pub struct Queues {
    pub charges: String,
    pub deliveries: String,
    pub maintenance: String,
}

impl Queues {
    /// With a prefix of their own, several deployments (and tests) share a namespace.
    pub fn new(prefix: &str) -> Self {
        Self {
            charges: format!("{prefix}charges"),
            deliveries: format!("{prefix}deliveries"),
            maintenance: format!("{prefix}maintenance"),
        }
    }
}
