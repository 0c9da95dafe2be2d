//! Waiting for a charge's outcome.

use schemas::{
    charge::{Charge, ChargeStatus},
    id::ChargeId,
};
use store::listen::Waiter;
use tokio::time::Instant;

use super::get;
use crate::{
    App, Error,
    admission::Permit,
    auth::{Caller, Payments},
};

/// Caller that waits for a charge's outcome, without a permit and without a database connection.
pub(super) struct Waiting<'a> {
    pub(super) app: &'a App,
    pub(super) caller: &'a Caller<Payments>,
    pub(super) deadline: Instant,
}

impl Waiting<'_> {
    /// Waits for an existing charge, and starts it if it is still `processing`.
    pub(super) async fn wait_for_outcome(
        &self,
        id: ChargeId,
        permit: Permit,
    ) -> Result<Charge, Error> {
        let waiter = self.app.outcomes.register(id);
        let charge = self.charge(id).await?;
        if charge.status != ChargeStatus::Processing {
            return Ok(charge);
        }
        self.app
            .orchestrator
            .start_charge(self.caller.merchant, id, Box::new(permit));
        self.answer(waiter, id).await
    }

    /// Waits until the charge leaves `processing`, and returns its state.
    pub(super) async fn answer(&self, mut waiter: Waiter, id: ChargeId) -> Result<Charge, Error> {
        waiter.left_processing(self.deadline).await;
        let _permit = self.app.admission.answer(self.caller.line()).await;
        self.charge(id).await
    }

    /// Returns the charge's current state.
    pub(super) async fn charge(&self, id: ChargeId) -> Result<Charge, Error> {
        let mut db = self.app.db().await?;
        get::find(self.app, &mut db, self.caller, id).await
    }
}
