//! Activities of a charge: try gateways until one presents an instrument, then sync until the charge is paid, canceled or expired, and for
//! a limited time after that.

mod accept;
mod apply;
mod attempt;
mod call;
mod cancel;
mod close;
mod degraded;
pub mod detached;
mod failure;
pub(crate) mod money;
mod open;
mod plan;
pub(crate) mod reversal;
mod rounds;
pub(crate) mod schedule;
mod sync;

use std::sync::Arc;

use gateways::{ChargeLookup, ChargeRequest, Gateway};
use schemas::id::ChargeId;
use store::{PgConnection, StoreError, attempts};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{Activities, Progress};

pub use accept::{Acceptance, ChargeToAccept};
pub(crate) use apply::{Applied, apply};
pub(crate) use open::AttemptCall;

/// Activities that a charge's workflow calls.
pub struct ChargeActivities(pub Arc<Activities>);

#[activities]
impl ChargeActivities {
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
}

impl Activities {
    /// Returns the gateway of an attempt and the lookup that finds its charge there. The lookup needs no personal data, so that it works
    /// after the payer was erased.
    pub(crate) async fn reopen(
        &self,
        db: &mut PgConnection,
        attempt: &attempts::AttemptRow,
    ) -> Result<(Arc<dyn Gateway>, ChargeLookup), StoreError> {
        let asked = attempts::request::terms(db, attempt.id).await?;
        let version = asked.credential_version;
        let gateway = self
            .clients
            .open_version(db, attempt.connection, version)
            .await?;
        let lookup = ChargeLookup {
            reference: attempt.id.reference(),
            amount: asked.amount,
            method: asked.method,
            created_at: attempt.started_at,
            expires_at: asked.expires_at,
            gateway_id: attempt.gateway_charge_id.clone(),
        };
        Ok((gateway, lookup))
    }

    /// Returns the stored order of an attempt, to send it again unchanged. `None` if the payer was erased.
    pub(crate) async fn order_of(
        &self,
        db: &mut PgConnection,
        attempt: &attempts::AttemptRow,
    ) -> Result<Option<ChargeRequest>, StoreError> {
        let Some(plain) = attempts::request::open(db, &self.store, attempt.id).await? else {
            return Ok(None);
        };
        serde_json::from_slice(&plain)
            .map(Some)
            .map_err(|why| StoreError::corrupt("attempts.request_sealed", why))
    }
}
