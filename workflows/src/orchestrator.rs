//! Work that the API leaves to workflows or, while Temporal is down, does in its own process.

use std::sync::Arc;

use activities::{
    Activities, Started, Starter, Subject, accepted::Held, notifications::Ingested,
    retry::client::ELSEWHERE_AFTER,
};
use gateways::Entries;
use schemas::id::{ChargeId, MerchantId};
use store::{StoreError, connections::Connection, notifications::NotificationSource};
use tokio_util::task::TaskTracker;

use crate::{WorkflowClient, pause};

/// Runs workflows, with or without Temporal. Cheap to clone.
#[derive(Clone)]
pub struct Orchestrator {
    /// Starts and wakes workflows.
    pub client: WorkflowClient,
    /// Activities that run in this process.
    pub activities: Arc<Activities>,
    tracker: TaskTracker,
}

impl Orchestrator {
    /// Creates an orchestrator. `activities` run in this process while Temporal is down.
    pub fn new(client: WorkflowClient, activities: Arc<Activities>, tracker: TaskTracker) -> Self {
        Self {
            client,
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
            match this
                .client
                .start_now(Subject::charge(merchant, charge))
                .await
            {
                Started::Now | Started::AlreadyRuns => pause(ELSEWHERE_AFTER).await,
                Started::Away | Started::Refused(_) => {
                    metrics::counter!("charges_without_temporal_total").increment(1);
                    Box::pin(this.activities.present(charge)).await;
                }
            }
            // the start was not eager: another process presents it
            this.activities.leave_accepted(charge).await;
        });
    }

    /// Wakes the charge's workflow, or starts it if it is closed or unknown. If Temporal is down, or neither answers nor accepts the wake,
    /// this process takes the step itself. Never fails, since the row is committed and the sweep finds it.
    pub async fn wake_charge(&self, merchant: MerchantId, charge: ChargeId) {
        let subject = Subject::charge(merchant, charge);
        if self.client.wake_or_start(subject).await.is_err() {
            metrics::counter!("wakes_without_temporal_total").increment(1);
            Box::pin(self.activities.advance_directly(charge)).await;
        }
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
}
