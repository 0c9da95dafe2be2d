//! Task queues and search attributes of workflows.

use std::time::Duration;

use temporalio_common::search_attributes::SearchAttributeKey;

/// Merchant that a workflow serves. `orchestrator migrate` registers the search attributes.
pub const MERCHANT_ID: SearchAttributeKey<String> = SearchAttributeKey::keyword("MerchantId");
/// Charge that a workflow serves.
pub const CHARGE_ID: SearchAttributeKey<String> = SearchAttributeKey::keyword("ChargeId");
/// Endpoint that a workflow serves.
pub const ENDPOINT_ID: SearchAttributeKey<String> = SearchAttributeKey::keyword("EndpointId");
/// Names of the search attributes, all of type Keyword.
pub const SEARCH_ATTRIBUTES: [&str; 3] = ["MerchantId", "ChargeId", "EndpointId"];

/// Timeout of workflow tasks. It bounds the recovery after a worker died during a local activity.
pub(crate) const TASK_TIMEOUT: Duration = Duration::from_secs(3);

/// Task queues, one per kind of work.
#[derive(Clone, Debug)]
pub struct Queues {
    pub charges: String,
    pub deliveries: String,
    pub maintenance: String,
}

impl Queues {
    /// Creates the names. Different prefixes allow several deployments (and tests) to share a namespace.
    pub fn new(prefix: &str) -> Self {
        Self {
            charges: format!("{prefix}charges"),
            deliveries: format!("{prefix}deliveries"),
            maintenance: format!("{prefix}maintenance"),
        }
    }
}
