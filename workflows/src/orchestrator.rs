//! The typed door: how others ask for workflows.

use std::{sync::Arc, time::Duration};

use activities::{Activities, Starter, accepted::Held, charge::Preview, notified::Told};
use gateways::{Entries, Gateway, Registration};
use schemas::{
    charge::CreateCharge,
    gateway::Mode,
    id::{ChargeId, ConnectionId, EndpointId, MerchantId, RefundId},
};
use store::{StoreError, connections::Connection, deliveries::Due, notifications::Source};
use tokio_util::task::TaskTracker;

use crate::{Temporal, temporal::pause};

/// After its start, a charge that this process has not begun to present by then is another one's.
const ELSEWHERE_AFTER: Duration = Duration::from_millis(250);

/// Starts and pokes workflows. Cheap to clone.
#[derive(Clone)]
pub struct Orchestrator {
    temporal: Temporal,
    activities: Arc<Activities>,
    tracker: TaskTracker,
}

impl Orchestrator {
    /// `activities` do the work in this process while Temporal is away.
    pub fn new(temporal: Temporal, activities: Arc<Activities>, tracker: TaskTracker) -> Self {
        Self {
            temporal,
            activities,
            tracker,
        }
    }

    /// Sees to it that a committed charge is presented: starts its workflow, or, while Temporal is away, runs the same steps in
    /// this process. Returns at once; the outcome is in the charge's row (`store::listen`). `held` is dropped when the charge
    /// waits for a gateway, and no longer for us.
    pub fn begin_charge(&self, merchant: MerchantId, charge: ChargeId, held: Held) {
        self.activities.accepted.hold(charge, held);
        let this = self.clone();
        self.tracker.spawn(async move {
            if this.temporal.start_charge(merchant, charge).await.is_err() {
                metrics::counter!("charges_without_temporal_total").increment(1);
                Box::pin(this.activities.present(charge)).await;
            } else {
                pause(ELSEWHERE_AFTER).await;
            }
            this.activities.accepted.release(charge);
        });
    }

    /// What the merchant's connections would make of a charge; no gateway is asked.
    pub async fn preview(
        &self,
        merchant: MerchantId,
        mode: Mode,
        request: &CreateCharge,
    ) -> Result<Preview, StoreError> {
        self.activities.preview(merchant, mode, request).await
    }

    /// The gateway behind a connection, to verify and read what it tells us.
    pub async fn gateway(&self, connection: ConnectionId) -> Result<Arc<dyn Gateway>, StoreError> {
        self.activities.gateway(connection).await
    }

    /// Wakes the charge's workflow; starts it if it is closed or unknown. While Temporal is away, this process takes the step itself.
    /// Never fails, since the row is committed and the sweep finds it.
    pub async fn poke_charge(&self, merchant: MerchantId, charge: ChargeId) {
        if self.temporal.is_here() {
            return self.temporal.poke_charge(merchant, charge).await;
        }
        Box::pin(self.activities.advance_directly(charge)).await;
    }

    /// The secrets that prove a connection's notifications now.
    pub async fn registrations(&self, from: &Connection) -> Result<Vec<Registration>, StoreError> {
        self.activities.registrations(from).await
    }

    /// Counts a notification at a connection's own address that was not proved. After several the merchant is alerted, and our
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

    /// Stores what a connection's gateway sent, and sees to it that it is acted on. Returns as soon as it is stored.
    pub async fn notified(
        &self,
        from: &Connection,
        body: &[u8],
        read: Entries,
    ) -> Result<Told, StoreError> {
        let told = self
            .activities
            .take_entries(from, Source::Told(body), read)
            .await?;
        let (this, merchant, connection) = (self.clone(), from.merchant, from.id);
        let (charges, has_tokens) = (told.charges.clone(), told.has_tokens);
        self.tracker.spawn(async move {
            for charge in charges {
                this.poke_charge(merchant, charge).await;
            }
            if has_tokens && let Err(error) = this.activities.fetch_tokens_soon(connection).await {
                tracing::error!(%connection, %error, "the sweep will fetch what a notification stands for");
            }
        });
        Ok(told)
    }

    /// Sees to it that a committed refund is sent: starts its workflow, or leaves it to the sweep while Temporal is away.
    /// Returns at once.
    pub fn begin_refund(&self, merchant: MerchantId, charge: ChargeId, refund: RefundId) {
        let temporal = self.temporal.clone();
        self.tracker
            .spawn(async move { temporal.poke_refund(merchant, charge, refund).await });
    }

    /// Starts the workflows of deliveries whose rows are committed. Returns at once.
    pub fn start_deliveries(&self, due: Vec<Due>) {
        self.temporal.start_deliveries(due);
    }

    /// Makes a deleted endpoint's workflow discard what waits for it. Returns at once.
    pub fn check_endpoint(&self, merchant: MerchantId, endpoint: EndpointId) {
        let temporal = self.temporal.clone();
        self.tracker
            .spawn(async move { temporal.wake_endpoint(merchant, endpoint).await });
    }

    /// Whether Temporal answers; charges are presented even if not.
    pub fn has_temporal(&self) -> bool {
        self.temporal.is_here()
    }
}
