//! The activities as Temporal calls them: names, and ids in and out.

use std::{sync::Arc, time::Duration};

use schemas::id::{AttemptId, ChargeId, DeliveryId, EndpointId, RefundId};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{Activities, DeliveryStep, Progress};

/// How often a sweep says that it is still at work: one that was lost with its worker, or whose end Temporal did not hear, is
/// soon done again.
const BEAT_EVERY: Duration = Duration::from_secs(2);

/// What a worker registers.
pub struct Registered(pub Arc<Activities>);

#[activities]
impl Registered {
    /// Tries one gateway.
    #[activity(name = "attempt")]
    pub async fn attempt(
        self: Arc<Self>,
        _ctx: ActivityContext,
        charge: ChargeId,
    ) -> Result<Progress, ActivityError> {
        Ok(self.0.attempt_or_detach(charge).await?)
    }

    /// Applies what gateways said meanwhile, and decides what is next.
    #[activity(name = "look")]
    pub async fn look(
        self: Arc<Self>,
        _ctx: ActivityContext,
        charge: ChargeId,
    ) -> Result<Progress, ActivityError> {
        Ok(Box::pin(self.0.look_at_charge(charge)).await?)
    }

    /// Makes the charge unpayable at its gateway because the merchant wants it.
    #[activity(name = "cancel")]
    pub async fn cancel(
        self: Arc<Self>,
        _ctx: ActivityContext,
        charge: ChargeId,
    ) -> Result<Progress, ActivityError> {
        Ok(Box::pin(self.0.end_charge(charge)).await?)
    }

    /// Makes the charge unpayable at its gateway because its time ran out.
    #[activity(name = "expire")]
    pub async fn expire(
        self: Arc<Self>,
        _ctx: ActivityContext,
        charge: ChargeId,
    ) -> Result<Progress, ActivityError> {
        Ok(Box::pin(self.0.end_charge(charge)).await?)
    }

    /// Finds out what became of an abandoned attempt, and voids it.
    #[activity(name = "reconcile")]
    pub async fn reconcile(
        self: Arc<Self>,
        _ctx: ActivityContext,
        attempt: AttemptId,
    ) -> Result<Progress, ActivityError> {
        Ok(Box::pin(self.0.reconcile_attempt(attempt)).await?)
    }

    /// Gives money back, or finds out what became of it.
    #[activity(name = "refund")]
    pub async fn refund(
        self: Arc<Self>,
        _ctx: ActivityContext,
        refund: RefundId,
    ) -> Result<Progress, ActivityError> {
        Ok(Box::pin(self.0.refund_once(refund)).await?)
    }

    /// Reads what gateways list, in case their notifications were lost.
    #[activity(name = "catch_up")]
    pub async fn catch_up(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: (),
    ) -> Result<(), ActivityError> {
        let beating = async {
            loop {
                tokio::time::sleep(BEAT_EVERY).await;
                if let Err(error) = ctx.record_heartbeat(()).await {
                    tracing::warn!(%error, "no heartbeat");
                }
            }
        };
        tokio::select! {
            read = Box::pin(self.0.catch_up_once()) => Ok(read?),
            never = beating => never,
        }
    }

    /// Checks our set-up at the gateways.
    #[activity(name = "watch")]
    pub async fn watch(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: (),
    ) -> Result<(), ActivityError> {
        let beating = async {
            loop {
                tokio::time::sleep(BEAT_EVERY).await;
                if let Err(error) = ctx.record_heartbeat(()).await {
                    tracing::warn!(%error, "no heartbeat");
                }
            }
        };
        tokio::select! {
            checked = Box::pin(self.0.watch_once()) => Ok(checked?),
            never = beating => never,
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

    /// Pokes whatever nobody has looked at in time.
    #[activity(name = "sweep")]
    pub async fn sweep(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: (),
    ) -> Result<(), ActivityError> {
        let beating = async {
            loop {
                tokio::time::sleep(BEAT_EVERY).await;
                if let Err(error) = ctx.record_heartbeat(()).await {
                    tracing::warn!(%error, "no heartbeat");
                }
            }
        };
        tokio::select! {
            swept = Box::pin(self.0.sweep_once()) => Ok(swept?),
            // another one has taken its place; what it has not marked is that one's
            () = ctx.cancelled() => Ok(()),
            never = beating => never,
        }
    }

    /// Creates partitions ahead of time.
    #[activity(name = "create_partitions")]
    pub async fn create_partitions(
        self: Arc<Self>,
        _ctx: ActivityContext,
        _input: (),
    ) -> Result<(), ActivityError> {
        Ok(self.0.create_partitions().await?)
    }
}
