//! Task queues and search attributes of workflows.

use temporalio_common::search_attributes::SearchAttributeKey;

/// Merchant that a workflow serves. `orchestrator migrate` registers the search attributes.
pub const MERCHANT_ID: SearchAttributeKey<String> = SearchAttributeKey::keyword("MerchantId");
/// Charge that a workflow serves.
pub const CHARGE_ID: SearchAttributeKey<String> = SearchAttributeKey::keyword("ChargeId");
/// Endpoint that a workflow serves.
pub const ENDPOINT_ID: SearchAttributeKey<String> = SearchAttributeKey::keyword("EndpointId");
/// Builds of the workers that executed a workflow. Predefined by Temporal, which sets it after the first task.
pub(crate) const BUILD_IDS: SearchAttributeKey<Vec<String>> =
    SearchAttributeKey::keyword_list("BuildIds");
/// Names of the search attributes that are ours, all of type Keyword.
pub const SEARCH_ATTRIBUTES: [&str; 3] = ["MerchantId", "ChargeId", "EndpointId"];

/// Build of the workers of this process.
pub(crate) const BUILD_ID: &str = concat!("orchestrator-", env!("CARGO_PKG_VERSION"));

/// Returns the build ids that Temporal sets after the first task of a workflow. A workflow that has them from its start needs no second
/// write of its search attributes, which costs Temporal's database as much as the first one.
pub(crate) fn build_ids() -> Vec<String> {
    vec!["unversioned".to_owned(), format!("unversioned:{BUILD_ID}")]
}

/// Kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    Charges,
    Deliveries,
    Maintenance,
}

/// Names of the task queues, one per kind of work.
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

    /// Returns the name of a queue.
    pub(crate) fn name(&self, queue: Queue) -> &str {
        match queue {
            Queue::Charges => &self.charges,
            Queue::Deliveries => &self.deliveries,
            Queue::Maintenance => &self.maintenance,
        }
    }
}
