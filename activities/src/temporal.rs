//! Temporal's interface to the activities: names, and ids as input and output.

use std::{sync::Arc, time::Duration};

use schemas::id::{AttemptId, ChargeId, DeliveryId, EndpointId, RefundId};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{Activities, DeliveryStep, Progress};

/// Heartbeat interval of scheduled activities: one that was lost with its worker, or whose end Temporal did not receive, is retried soon.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);

/// Activities that a worker registers.
pub struct TemporalActivities(pub Arc<Activities>);

#[activities]
impl TemporalActivities {
    /// Tries one gateway.
    #[activity(name = "attempt")]
    pub async fn attempt(
        self: Arc<Self>,
        _ctx: ActivityContext,
        charge: ChargeId,
    ) -> Result<Progress, ActivityError> {
        Ok(self.0.attempt_or_detach(charge).await?)
    }

    /// Applies the observations of a charge and decides the next step.
    #[activity(name = "sync")]
    pub async fn sync(
        self: Arc<Self>,
        _ctx: ActivityContext,
        charge: ChargeId,
    ) -> Result<Progress, ActivityError> {
        Ok(Box::pin(self.0.sync_charge(charge)).await?)
    }

    /// Makes the charge unpayable at its gateway because the merchant canceled it.
    #[activity(name = "cancel")]
    pub async fn cancel(
        self: Arc<Self>,
        _ctx: ActivityContext,
        charge: ChargeId,
    ) -> Result<Progress, ActivityError> {
        Ok(Box::pin(self.0.end_charge(charge)).await?)
    }

    /// Makes the charge unpayable at its gateway because it expired.
    #[activity(name = "expire")]
    pub async fn expire(
        self: Arc<Self>,
        _ctx: ActivityContext,
        charge: ChargeId,
    ) -> Result<Progress, ActivityError> {
        Ok(Box::pin(self.0.end_charge(charge)).await?)
    }

    /// Resolves an abandoned attempt: finds out whether it exists, and voids or adopts it.
    #[activity(name = "resolve_orphan")]
    pub async fn resolve_orphan(
        self: Arc<Self>,
        _ctx: ActivityContext,
        attempt: AttemptId,
    ) -> Result<Progress, ActivityError> {
        Ok(Box::pin(self.0.resolve_orphan(attempt)).await?)
    }

    /// Sends a refund, or looks up its outcome.
    #[activity(name = "refund")]
    pub async fn refund(
        self: Arc<Self>,
        _ctx: ActivityContext,
        refund: RefundId,
    ) -> Result<Progress, ActivityError> {
        Ok(Box::pin(self.0.refund_once(refund)).await?)
    }

    /// Reads the gateways' lists, in case their notifications were lost.
    #[activity(name = "poll_connections")]
    pub async fn poll_connections(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: (),
    ) -> Result<(), ActivityError> {
        tokio::select! {
            read = Box::pin(self.0.poll_connections()) => Ok(read?),
            never = heartbeats(&ctx) => never,
        }
    }

    /// Checks the connections' registrations and settings at the gateways.
    #[activity(name = "check_connections")]
    pub async fn check_connections(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: (),
    ) -> Result<(), ActivityError> {
        tokio::select! {
            checked = Box::pin(self.0.check_connections()) => Ok(checked?),
            never = heartbeats(&ctx) => never,
        }
    }

    /// Posts an event to an endpoint.
    #[activity(name = "deliver")]
    pub async fn deliver(
        self: Arc<Self>,
        _ctx: ActivityContext,
        delivery: DeliveryId,
    ) -> Result<DeliveryStep, ActivityError> {
        Ok(Box::pin(self.0.deliver_once(delivery)).await?)
    }

    /// Probes, drains or empties an endpoint.
    #[activity(name = "check_endpoint")]
    pub async fn check_endpoint(
        self: Arc<Self>,
        _ctx: ActivityContext,
        endpoint: EndpointId,
    ) -> Result<DeliveryStep, ActivityError> {
        Ok(Box::pin(self.0.check_endpoint(endpoint)).await?)
    }

    /// Wakes the workflows of overdue rows and processes rows that stay overdue.
    #[activity(name = "sweep")]
    pub async fn sweep(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: (),
    ) -> Result<(), ActivityError> {
        tokio::select! {
            swept = Box::pin(self.0.sweep_once()) => Ok(swept?),
            // another sweep has replaced this one and processes the rows that this one has not marked
            () = ctx.cancelled() => Ok(()),
            never = heartbeats(&ctx) => never,
        }
    }

    /// Creates partitions in advance.
    #[activity(name = "create_partitions")]
    pub async fn create_partitions(
        self: Arc<Self>,
        _ctx: ActivityContext,
        _input: (),
    ) -> Result<(), ActivityError> {
        Ok(self.0.create_partitions().await?)
    }
}

/// Reports that a long activity is alive, until its future is dropped.
async fn heartbeats<T>(ctx: &ActivityContext) -> T {
    loop {
        tokio::time::sleep(HEARTBEAT_EVERY).await;
        if let Err(error) = ctx.record_heartbeat(()).await {
            tracing::warn!(%error, "no heartbeat");
        }
    }
}
