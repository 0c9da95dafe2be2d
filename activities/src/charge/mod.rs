//! What a charge's workflow does: try gateways until one presents an instrument, then look after it until it is paid, canceled
//! or expired, and a while longer.

mod apply;
mod attempt;
mod begin;
mod end;
mod look;
mod resolve;
mod settle;

use std::sync::Arc;

use gateways::{ChargeOrder, Gateway};
use schemas::id::ChargeId;
use store::{PgConnection, StoreError, attempts, connections};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{Activities, DeliveryStep, Step};

pub(crate) use apply::{Applied, apply};

#[activities]
impl Activities {
    /// Tries one gateway.
    #[activity(name = "attempt")]
    pub async fn attempt(self: Arc<Self>, _ctx: ActivityContext, charge: ChargeId) -> Result<Step, ActivityError> {
        Ok(self.attempt_charge(charge).await?)
    }

    /// Applies what gateways said meanwhile, and decides what is next.
    #[activity(name = "look")]
    pub async fn look(self: Arc<Self>, _ctx: ActivityContext, charge: ChargeId) -> Result<Step, ActivityError> {
        Ok(self.look_at_charge(charge).await?)
    }

    /// Makes the charge unpayable at its gateway because the merchant wants it.
    #[activity(name = "cancel")]
    pub async fn cancel(self: Arc<Self>, _ctx: ActivityContext, charge: ChargeId) -> Result<Step, ActivityError> {
        Ok(self.end_charge(charge).await?)
    }

    /// Makes the charge unpayable at its gateway because its time ran out.
    #[activity(name = "expire")]
    pub async fn expire(self: Arc<Self>, _ctx: ActivityContext, charge: ChargeId) -> Result<Step, ActivityError> {
        Ok(self.end_charge(charge).await?)
    }

    /// Finds out what became of an abandoned attempt, and voids it.
    #[activity(name = "reconcile")]
    pub async fn reconcile(
        self: Arc<Self>,
        _ctx: ActivityContext,
        attempt: schemas::id::AttemptId,
    ) -> Result<Step, ActivityError> {
        Ok(self.reconcile_attempt(attempt).await?)
    }

    /// Posts an event to an endpoint.
    #[activity(name = "deliver")]
    pub async fn deliver(
        self: Arc<Self>,
        _ctx: ActivityContext,
        delivery: schemas::id::DeliveryId,
    ) -> Result<DeliveryStep, ActivityError> {
        Ok(self.deliver_once(delivery).await?)
    }

    /// Pokes whatever nobody has looked at in time.
    #[activity(name = "sweep")]
    pub async fn sweep(self: Arc<Self>, _ctx: ActivityContext, _: ()) -> Result<(), ActivityError> {
        Ok(self.sweep_once().await?)
    }
}

impl Activities {
    /// The gateway of an attempt and the order it was given.
    pub(crate) async fn reopen(
        &self,
        db: &mut PgConnection,
        attempt: &attempts::Row,
    ) -> Result<(Arc<dyn Gateway>, ChargeOrder), StoreError> {
        let gateway = self.accounts.open(db, attempt.connection).await?;
        let key = self.store.merchant_key(db, attempt.merchant.uuid()).await?;
        let place = attempts::order_place(attempt.merchant.uuid(), attempt.id.uuid());
        let plain = key.open(&place, &attempt.order_sealed)?;
        let order = serde_json::from_slice(&plain).map_err(|why| StoreError::corrupt("attempts.order_sealed", why))?;
        Ok((gateway, order))
    }

    /// Whether a connection's gateway is still known; a draining or archived one is.
    pub(crate) async fn connection(
        &self,
        db: &mut PgConnection,
        id: schemas::id::ConnectionId,
    ) -> Result<connections::Connection, StoreError> {
        connections::find(db, id)
            .await?
            .ok_or_else(|| StoreError::corrupt("gateway_connections", "a referenced connection is not there"))
    }
}
