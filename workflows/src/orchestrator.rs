//! Typed client that starts and wakes workflows.

use std::{sync::Arc, time::Duration};

use activities::{
    Activities, Starter,
    accepted::Held,
    charge::{Acceptance, ChargeToAccept},
    notifications::Ingested,
};
use gateways::{Entries, Gateway, Registration};
use schemas::id::{ChargeId, EndpointId, MerchantId, RefundId};
use store::{
    StoreError,
    connections::{Connection, addresses::AddressedConnection},
    deliveries::PendingDelivery,
    notifications::NotificationSource,
};
use tokio_util::task::TaskTracker;

use crate::{Temporal, temporal::pause};

/// Time after the start of a charge's workflow. If this process has not begun to present the charge by then, another process does.
const ELSEWHERE_AFTER: Duration = Duration::from_millis(250);

/// Starts and wakes workflows. Cheap to clone.
#[derive(Clone)]
pub struct Orchestrator {
    temporal: Temporal,
    activities: Arc<Activities>,
    tracker: TaskTracker,
}

impl Orchestrator {
    /// Creates a client. `activities` run in this process while Temporal is down.
    pub fn new(temporal: Temporal, activities: Arc<Activities>, tracker: TaskTracker) -> Self {
        Self {
            temporal,
            activities,
            tracker,
        }
    }

    /// Presents a committed charge: starts its workflow or, while Temporal is down, runs the same steps in this process. Returns at once;
    /// the outcome is in the charge's row (`store::listen`). `held` is dropped when the charge waits for a gateway and no longer for this
    /// process.
    pub fn start_charge(&self, merchant: MerchantId, charge: ChargeId, held: Held) {
        self.activities.accepted.hold(charge, held);
        let this = self.clone();
        self.tracker.spawn(async move {
            if this.temporal.start_charge(merchant, charge).await.is_err() {
                metrics::counter!("charges_without_temporal_total").increment(1);
                Box::pin(this.activities.present(charge)).await;
            } else {
                pause(ELSEWHERE_AFTER).await;
            }
            // the start was not eager: another process presents it
            this.activities.leave_accepted(charge).await;
        });
    }

    /// Accepts a charge with its first attempt, which this process leases. Calls no gateway.
    pub async fn accept_charge(
        &self,
        wanted: ChargeToAccept<'_>,
    ) -> Result<Acceptance, StoreError> {
        self.activities.accept_charge(wanted).await
    }

    /// Returns the gateway client that verifies and reads a connection's notifications, and the secrets that prove them now.
    pub async fn notification_reader(
        &self,
        about: &AddressedConnection,
    ) -> Result<(Arc<dyn Gateway>, Vec<Registration>), StoreError> {
        self.activities.notification_reader(about).await
    }

    /// Wakes the charge's workflow, or starts it if it is closed or unknown. While Temporal is down, this process takes the step itself.
    /// Never fails, since the row is committed and the sweep finds it.
    pub async fn wake_charge(&self, merchant: MerchantId, charge: ChargeId) {
        if self.temporal.is_up() {
            return self.temporal.wake_charge(merchant, charge).await;
        }
        Box::pin(self.activities.advance_directly(charge)).await;
    }

    /// Counts a notification at a connection's own address that failed verification. After several of them the merchant is alerted, and our
    /// address is registered again in the background.
    pub async fn unproved(&self, from: &Connection) -> Result<(), StoreError> {
        if self.activities.unproved(from).await? {
            let (this, from) = (self.clone(), from.clone());
            self.tracker.spawn(async move {
                if let Err(error) = Box::pin(this.activities.register_again(&from)).await {
                    tracing::error!(connection = %from.id, %error, "the next check registers our address again");
                }
            });
        }
        Ok(())
    }

    /// Stores a notification of a connection's gateway and processes it in the background. Returns as soon as it is stored.
    pub async fn notified(
        &self,
        from: &Connection,
        body: &[u8],
        read: Entries,
    ) -> Result<Ingested, StoreError> {
        let ingested = self
            .activities
            .ingest(from, NotificationSource::Received(body), read)
            .await?;
        let (this, merchant, connection) = (self.clone(), from.merchant, from.id);
        let (charges, has_tokens) = (ingested.charges.clone(), ingested.has_tokens);
        self.tracker.spawn(async move {
            for charge in charges {
                this.wake_charge(merchant, charge).await;
            }
            if has_tokens && let Err(error) = this.activities.fetch_tokens_soon(connection).await {
                tracing::error!(%connection, %error, "the sweep will resolve the notification");
            }
        });
        Ok(ingested)
    }

    /// Sends a committed refund: starts its workflow, or leaves it to the sweep while Temporal is down. Returns at once.
    pub fn start_refund(&self, merchant: MerchantId, charge: ChargeId, refund: RefundId) {
        let temporal = self.temporal.clone();
        self.tracker
            .spawn(async move { temporal.wake_refund(merchant, charge, refund).await });
    }

    /// Starts the workflows of deliveries whose rows are committed. Returns at once.
    pub fn start_deliveries(&self, due: Vec<PendingDelivery>) {
        self.temporal.start_deliveries(due);
    }

    /// Wakes a deleted endpoint's workflow, which discards its waiting deliveries. Returns at once.
    pub fn check_endpoint(&self, merchant: MerchantId, endpoint: EndpointId) {
        let temporal = self.temporal.clone();
        self.tracker
            .spawn(async move { temporal.wake_endpoint(merchant, endpoint).await });
    }

    /// Returns true if Temporal responds. Charges are presented even if it does not.
    pub fn has_temporal(&self) -> bool {
        self.temporal.is_up()
    }
}
