//! The first transaction of an attempt: what is to be done, decided and written down before a byte is sent.

use std::{sync::Arc, time::Duration};

use gateways::{ChargeOrder, Gateway};
use schemas::{
    attempt::State,
    charge::Status,
    gateway::ApiFamily,
    id::{AttemptId, ChargeId, ConnectionId, MerchantId},
    route::Reason,
};
use store::{PgConnection, StoreError, attempts, charges, vault::VaultError};
use uuid::Uuid;

use super::choose::Chosen;
use crate::{Activities, Step, delta, until};

/// Between a call's end and its attempt's deadline: time to write down what came of it.
pub(super) const SLACK: Duration = Duration::from_secs(2);

/// What the first transaction decided.
pub(super) enum Begun {
    /// Nothing to call.
    Step(Step),
    /// The row is committed: make the call.
    Call(Box<Call>),
}

/// A call to make for an attempt that belongs to us.
pub(super) struct Call {
    pub charge: ChargeId,
    pub merchant: MerchantId,
    pub family: ApiFamily,
    pub attempt: AttemptId,
    pub n: i32,
    pub connection: ConnectionId,
    pub reason: Reason,
    pub runner: Uuid,
    pub gateway: Arc<dyn Gateway>,
    pub order: ChargeOrder,
    pub within: Duration,
    /// Somebody else began it where repeating is not harmless: only search.
    pub search_only: bool,
}

impl Activities {
    pub(super) async fn begin(&self, id: ChargeId) -> Result<Begun, StoreError> {
        let mut tx = self.store.pool.begin().await?;
        let Some(mut charge) = charges::lock(&mut tx, id).await? else {
            return Ok(Begun::Step(Step::Done));
        };
        if charge.status != Status::Processing {
            return Ok(Begun::Step(Step::LOOK));
        }
        let earlier = attempts::of_charge(&mut tx, id).await?;
        if let Some(open) = earlier.iter().find(|a| a.state == State::Open) {
            let begun = self.take_over(&mut tx, &charge, open).await?;
            tx.commit().await?;
            return Ok(begun);
        }
        if let Some(ended) = ended(&charge) {
            let due = charges::transition(&mut tx, &self.store, &mut charge, ended, None).await?;
            charges::set_look_at(&mut tx, id, None, charge.looks).await?;
            tx.commit().await?;
            self.starter.start_deliveries(due.unwrap_or_default());
            return Ok(Begun::Step(Step::LOOK));
        }
        let begun = self.choose(&mut tx, &charge, &earlier).await?;
        let begun = match begun {
            Chosen::Call(call) => Begun::Call(call),
            Chosen::Wait(step) => Begun::Step(step),
            Chosen::Fail(failure) => {
                let due = charges::transition(
                    &mut tx,
                    &self.store,
                    &mut charge,
                    Status::Failed,
                    Some(&failure),
                )
                .await?;
                charges::set_look_at(&mut tx, id, None, charge.looks).await?;
                tx.commit().await?;
                self.starter.start_deliveries(due.unwrap_or_default());
                return Ok(Begun::Step(Step::LOOK));
            }
        };
        tx.commit().await?;
        Ok(begun)
    }

    /// An attempt that is open although we do not run it: its runner died, or is paused, or is still at it.
    async fn take_over(
        &self,
        db: &mut PgConnection,
        charge: &charges::Locked,
        open: &attempts::Row,
    ) -> Result<Begun, StoreError> {
        let (gateway, _) = self.reopen(db, open).await?;
        let order = self.order_of(db, open).await?.ok_or(VaultError::Erased)?;
        let age = until(charge.now, open.started_at);
        let repeatable = gateway
            .idempotent_for(charge.method)
            .is_some_and(|window| age < window);
        let free_at = open.deadline_at + delta(gateway.visibility_lag(charge.method));
        if !repeatable && charge.now < free_at {
            return Ok(Begun::Step(Step::attempt_after(until(free_at, charge.now))));
        }
        let runner = Uuid::new_v4();
        let within = self.timing.call;
        let deadline = charge.now + delta(within + self.timing.resolve + SLACK);
        if !attempts::take(db, open.id, open.runner, runner, deadline).await? {
            return Ok(Begun::Step(Step::ATTEMPT));
        }
        tracing::info!(charge = %open.charge, attempt = %open.id, "took over an open attempt");
        Ok(Begun::Call(Box::new(Call {
            charge: open.charge,
            merchant: open.merchant,
            family: open.family,
            attempt: open.id,
            n: open.n,
            connection: open.connection,
            reason: open.reason,
            runner,
            gateway,
            order,
            within,
            search_only: !repeatable,
        })))
    }
}

/// A charge that is to end before any gateway has it.
fn ended(charge: &charges::Locked) -> Option<Status> {
    if charge.cancel_requested_at.is_some() {
        Some(Status::Canceled)
    } else if charge.expires_at <= charge.now {
        Some(Status::Expired)
    } else {
        None
    }
}
