//! The typed door: how others ask for workflows.

use schemas::id::{ChargeId, DeliveryId, EndpointId, MerchantId};

/// Starts and pokes workflows. Cheap to clone.
#[derive(Clone)]
pub struct Orchestrator {}

/// A delivery whose row is committed.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryStart {
    pub delivery: DeliveryId,
    pub merchant: MerchantId,
    pub endpoint: EndpointId,
    /// Its endpoint has been slow lately.
    pub slow: bool,
}

impl Orchestrator {
    /// Sees to it that a committed charge is presented: starts its workflow, or, while Temporal is away, runs the same steps in
    /// this process. Returns at once; the outcome is in the charge's row (`store::listen`).
    pub fn begin_charge(&self, _merchant: MerchantId, _charge: ChargeId) {}

    /// Makes the charge's workflow look at its row now; starts it if it is closed or unknown. Returns once the workflow has taken
    /// notice or the sweep is left to do it; never fails, since the row is committed.
    pub async fn poke_charge(&self, _merchant: MerchantId, _charge: ChargeId) {}

    /// Starts the workflows of deliveries whose rows are committed. Returns at once.
    pub fn start_deliveries(&self, _deliveries: Vec<DeliveryStart>) {}
}
