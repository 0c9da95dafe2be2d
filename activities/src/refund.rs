//! Refund of a payment: reserved before this starts, sent once, and looked up when its outcome is unknown.

use std::{sync::Arc, time::Duration};

use gateways::{ChargeLookup, Gateway, GatewayCharge, GatewayError, GatewayRefund, RefundRequest};
use schemas::{
    attempt::ErrorClass,
    charge::GatewayFailure,
    gateway::GatewayApi,
    id::{ChargeId, MerchantId, RefundId},
    refund::{RefundOrigin, RefundStatus},
};
use store::{
    PgConnection, Store, StoreError,
    attempts::AttemptRow,
    charges::{self, LockedCharge},
    refunds::{self, RefundRow},
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use uuid::Uuid;

use crate::retry::refund::{CALL, QUEUE_FOR, SLACK, SYNC_FOR};
use crate::{
    Activities, PollStep, Progress, alerts,
    charge::{Applied, apply, money},
    delta, until,
};

/// Message of the alert about refused credentials.
const REFUND_DENIED: &str =
    "the gateway refused a refund: check the connection's credentials, permissions and limits";

/// Activity that a refund's workflow calls.
pub struct RefundActivities(pub Arc<Activities>);

#[activities]
impl RefundActivities {
    /// Sends a refund, or looks up its outcome.
    #[activity(name = "refund")]
    pub async fn refund(
        self: Arc<Self>,
        _ctx: ActivityContext,
        refund: RefundId,
    ) -> Result<Progress<PollStep>, ActivityError> {
        Ok(Box::pin(self.0.refund_once(refund)).await?)
    }
}

/// Action to take at the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefundMode {
    /// Nothing was ever sent: send it.
    First,
    /// It was sent, and sending it again is harmless.
    Again,
    /// It was sent: only look it up.
    Search,
    /// The gateway reported it, made in its panel: read the charge that it belongs to.
    Sync,
}

/// Refund that this worker leases until its deadline.
struct RefundCall {
    charge: ChargeId,
    merchant: MerchantId,
    api: GatewayApi,
    id: RefundId,
    lease_owner: Uuid,
    how: RefundMode,
    gateway: Arc<dyn Gateway>,
    order: RefundRequest,
    charge_order: ChargeLookup,
}

/// Outcome of a call.
enum RefundOutcome {
    Refund(GatewayRefund),
    /// The gateway answered and has no such refund.
    Nothing,
    Failed(GatewayError),
}

impl Activities {
    /// Takes one step with a refund.
    pub async fn refund_once(&self, id: RefundId) -> Result<Progress<PollStep>, StoreError> {
        let call = match Box::pin(self.open_refund(id)).await? {
            Ok(call) => call,
            Err(step) => return Ok(Progress::unchanged(step)),
        };
        let slot = self
            .bulkhead
            .enter_within(call.api, call.merchant, QUEUE_FOR);
        let Some(_slot) = slot.await else {
            let pause_ms = self.timing.refund_again.delay_ms(0);
            return self
                .release_refund(&call, pause_ms)
                .await
                .map(Progress::unchanged);
        };
        if call.how == RefundMode::Sync {
            return Box::pin(self.sync_refund(&call))
                .await
                .map(Progress::changed);
        }
        if call.how == RefundMode::First {
            let found = call.gateway.find(&call.charge_order).await;
            if let Some(step) = Box::pin(self.find_dispute(&call, found)).await? {
                return Ok(Progress::changed(step));
            }
        }
        let outcome = call.make().await;
        Box::pin(self.close_refund(&call, outcome))
            .await
            .map(Progress::changed)
    }

    /// Syncs a refund that was made in the gateway's panel: applies the gateway's state of its charge until the refund has ended.
    async fn sync_refund(&self, call: &RefundCall) -> Result<PollStep, StoreError> {
        let found = call.gateway.find(&call.charge_order).await;
        let mut tx = self.store.begin().await?;
        let Some((mut charge, row)) = locked(&mut tx, &self.store, call).await? else {
            return Ok(PollStep::Done);
        };
        if row.lease_owner != Some(call.lease_owner) {
            return Ok(PollStep::NOW);
        }
        let mut applied = Applied::default();
        match found {
            Ok(found) => {
                apply_found(&mut tx, &mut charge, (call, &found), &mut applied).await?;
            }
            Err(error) => {
                tracing::warn!(refund = %call.id, %error, "could not read a refund made at the gateway");
            }
        }
        let age = until(charge.now, row.created_at);
        let fresh = refunds::find(&mut tx, call.id).await?;
        if let Some(mut row) = fresh.filter(|row| row.status == RefundStatus::Pending)
            && age >= SYNC_FOR
        {
            let failure = GatewayFailure {
                kind: row.gateway,
                code: "unresolved".to_owned(),
                message: "the gateway still reports this refund as pending".to_owned(),
            };
            let end = (RefundStatus::NeedsReview, Some(&failure));
            money::move_refund(&mut tx, &mut charge, &mut row, end).await?;
        }
        let step = self.next_check(&mut tx, &charge, call.id).await?;
        applied
            .due
            .extend(charges::save(&mut tx, &mut charge).await?);
        tx.commit().await?;
        applied.start(self, &charge);
        Ok(step)
    }

    /// Leases the refund, or returns the step to take instead.
    async fn open_refund(&self, id: RefundId) -> Result<Result<RefundCall, PollStep>, StoreError> {
        let mut tx = self.store.begin().await?;
        let Some(row) = refunds::find(&mut tx, id).await? else {
            return Ok(Err(PollStep::Done));
        };
        let Some(charge) = charges::lock(&mut tx, &self.store, row.charge).await? else {
            return Ok(Err(PollStep::Done));
        };
        let Some(row) = refunds::find(&mut tx, id).await? else {
            return Ok(Err(PollStep::Done));
        };
        if row.status != RefundStatus::Pending {
            return Ok(Err(PollStep::Done));
        }
        if let Some(busy_until) = row.lease_expires_at.filter(|at| *at > charge.now) {
            return Ok(Err(PollStep::wait(until(busy_until, charge.now))));
        }
        let call = self.prepare(&mut tx, &charge, &row).await?;
        let order = serde_json::to_value(&call.order)
            .map_err(|why| StoreError::corrupt("refunds.gateway_request", why))?;
        let deadline = charge.now + delta(CALL + SLACK);
        refunds::claim(&mut tx, id, (call.lease_owner, deadline), &order).await?;
        tx.commit().await?;
        Ok(Ok(call))
    }

    async fn prepare(
        &self,
        db: &mut PgConnection,
        charge: &LockedCharge,
        row: &RefundRow,
    ) -> Result<RefundCall, StoreError> {
        let lost = || StoreError::corrupt("refunds", "its payment is not there");
        let payment = charge.payments.iter().find(|p| p.id == row.payment);
        let payment = payment.ok_or_else(lost)?;
        let attempt = charge.attempt(payment.attempt).ok_or_else(lost)?;
        let (gateway, charge_order) = self.reopen(db, attempt).await?;
        let order = match &row.order {
            Some(json) => serde_json::from_value(json.clone())
                .map_err(|why| StoreError::corrupt("refunds.gateway_request", why))?,
            None => RefundRequest {
                reference: row.id.reference(),
                charge: attempt.gateway_charge_id.clone().unwrap_or_default(),
                charge_reference: attempt.id.reference(),
                payment: payment.gateway_payment_id.clone(),
                end_to_end_id: payment.end_to_end_id.clone(),
                method: payment.method,
                amount: row.amount,
                is_whole: row.amount == payment.amount,
                reason: row.reason.clone(),
                created_at: row.created_at,
            },
        };
        let how = match row.sent_at {
            _ if row.origin == RefundOrigin::Gateway => RefundMode::Sync,
            None => RefundMode::First,
            Some(_) if row.gateway_refund_id.is_some() => RefundMode::Search,
            Some(sent) => match gateway.refund_idempotent_for(order.method) {
                Some(window) if until(charge.now, sent) < window => RefundMode::Again,
                _ => RefundMode::Search,
            },
        };
        Ok(RefundCall {
            charge: charge.id,
            merchant: charge.merchant,
            api: attempt.api,
            id: row.id,
            lease_owner: store::new_id(),
            how,
            gateway,
            order,
            charge_order,
        })
    }

    /// Applies the gateway's state of the charge before a refund: disputed money must not be refunded as well. `None`: continue and send
    /// it.
    async fn find_dispute(
        &self,
        call: &RefundCall,
        found: Result<Vec<GatewayCharge>, GatewayError>,
    ) -> Result<Option<PollStep>, StoreError> {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(refund = %call.id, %error, "could not search for a dispute before a refund");
                return self
                    .close_refund(call, RefundOutcome::Failed(unsent(error)))
                    .await
                    .map(Some);
            }
        };
        let mut tx = self.store.begin().await?;
        let Some((mut charge, mut row)) = locked(&mut tx, &self.store, call).await? else {
            return Ok(Some(PollStep::Done));
        };
        if row.lease_owner != Some(call.lease_owner) {
            return Ok(Some(PollStep::NOW));
        }
        let mut applied = Applied::default();
        apply_found(&mut tx, &mut charge, (call, &found), &mut applied).await?;
        let left = charge.amount_paid
            - charge.amount_refunded
            - charge.amount_disputed
            - (charge.amount_refund_pending - row.amount);
        let step = if row.amount > left {
            let failure = GatewayFailure {
                kind: row.gateway,
                code: "disputed".to_owned(),
                message: "the payer has claimed this money back at the gateway: a refund would pay it twice".to_owned(),
            };
            let failed = (RefundStatus::Failed, Some(&failure));
            money::move_refund(&mut tx, &mut charge, &mut row, failed).await?;
            Some(PollStep::Done)
        } else {
            refunds::set_sent(&mut tx, row.id, true).await?;
            None
        };
        applied
            .due
            .extend(charges::save(&mut tx, &mut charge).await?);
        tx.commit().await?;
        applied.start(self, &charge);
        Ok(step)
    }

    /// Releases the lease on a refund that could not be started, and schedules its next check.
    async fn release_refund(
        &self,
        call: &RefundCall,
        pause_ms: u64,
    ) -> Result<PollStep, StoreError> {
        let pause = Duration::from_millis(pause_ms);
        let mut db = self.store.pool.acquire().await?;
        let now = store::now(&mut db).await?;
        refunds::set_next_check(&mut db, call.id, Some(now + delta(pause))).await?;
        Ok(PollStep::wait(pause))
    }

    async fn close_refund(
        &self,
        call: &RefundCall,
        outcome: RefundOutcome,
    ) -> Result<PollStep, StoreError> {
        let mut tx = self.store.begin().await?;
        let Some((mut charge, mut row)) = locked(&mut tx, &self.store, call).await? else {
            return Ok(PollStep::Done);
        };
        let mut applied = Applied::default();
        if let RefundOutcome::Refund(observed) = &outcome {
            let observed = GatewayRefund {
                reference: Some(call.order.reference.clone()),
                ..observed.clone()
            };
            money::apply_refund(&mut tx, &mut charge, &observed).await?;
        } else if row.lease_owner != Some(call.lease_owner) {
            return Ok(PollStep::NOW);
        } else if let Some((status, failure)) = self.verdict(call, &outcome, &charge, &row) {
            let end = (status, failure.as_ref());
            money::move_refund(&mut tx, &mut charge, &mut row, end).await?;
        }
        if let RefundOutcome::Failed(error) = &outcome {
            let never_left = matches!(
                error.class,
                ErrorClass::NotCreated | ErrorClass::Throttled | ErrorClass::Denied
            );
            if call.how == RefundMode::First && never_left {
                refunds::set_sent(&mut tx, row.id, false).await?;
            }
            if error.class == ErrorClass::Denied && row.checks == 0 {
                // The gateway's message may repeat the payer's data, and an alert is not erased with the payer.
                let alert = alerts::raise(&mut tx, row.connection, &error.code, REFUND_DENIED);
                applied.due.extend(alert.await?);
            }
        }
        let step = self.next_check(&mut tx, &charge, call.id).await?;
        applied
            .due
            .extend(charges::save(&mut tx, &mut charge).await?);
        tx.commit().await?;
        applied.start(self, &charge);
        Ok(step)
    }

    /// Returns the final status of a refund that the gateway refused or does not know; `None` while it is undecided.
    fn verdict(
        &self,
        call: &RefundCall,
        outcome: &RefundOutcome,
        charge: &LockedCharge,
        row: &RefundRow,
    ) -> Option<(RefundStatus, Option<GatewayFailure>)> {
        let failure = |code: &str, message: &str| GatewayFailure {
            kind: row.gateway,
            code: code.to_owned(),
            message: message.to_owned(),
        };
        let age = until(charge.now, row.sent_at.unwrap_or(row.created_at));
        let is_over = age >= self.timing.refund_review_after;
        match outcome {
            RefundOutcome::Failed(error)
                if matches!(error.class, ErrorClass::Rejected | ErrorClass::Declined) =>
            {
                Some((
                    RefundStatus::Failed,
                    Some(failure(&error.code, &error.message)),
                ))
            }
            RefundOutcome::Failed(error)
                if is_over
                    && call.how == RefundMode::First
                    && error.class != ErrorClass::Unknown =>
            {
                Some((
                    RefundStatus::Failed,
                    Some(failure(&error.code, &error.message)),
                ))
            }
            RefundOutcome::Failed(_) | RefundOutcome::Nothing if is_over => {
                let why = "the gateway does not state what became of the refund";
                Some((RefundStatus::NeedsReview, Some(failure("unresolved", why))))
            }
            _ => None,
        }
    }

    /// Schedules the next check of a refund that has not ended.
    async fn next_check(
        &self,
        db: &mut PgConnection,
        charge: &LockedCharge,
        id: RefundId,
    ) -> Result<PollStep, StoreError> {
        let Some(row) = refunds::find(db, id).await? else {
            return Ok(PollStep::Done);
        };
        if row.status != RefundStatus::Pending {
            if row.status == RefundStatus::NeedsReview {
                tracing::error!(refund = %id, "a refund needs a person");
            }
            return Ok(PollStep::Done);
        }
        let n = u32::try_from(row.checks).unwrap_or(u32::MAX);
        let pause = Duration::from_millis(self.timing.refund_again.delay_ms(n));
        refunds::set_next_check(db, id, Some(charge.now + delta(pause))).await?;
        Ok(PollStep::wait(pause))
    }
}

impl RefundCall {
    async fn make(&self) -> RefundOutcome {
        match self.how {
            RefundMode::First => match self.gateway.refund(&self.order, CALL).await {
                Ok(refund) => RefundOutcome::Refund(refund),
                Err(error) => RefundOutcome::Failed(error),
            },
            RefundMode::Again => match self.gateway.refund(&self.order, CALL).await {
                Ok(refund) => RefundOutcome::Refund(refund),
                // a refusal of the second send may mean that the first one succeeded
                Err(error) if error.class == ErrorClass::Rejected => self.search(Some(error)).await,
                Err(error) => RefundOutcome::Failed(error),
            },
            RefundMode::Search | RefundMode::Sync => self.search(None).await,
        }
    }

    async fn search(&self, refused: Option<GatewayError>) -> RefundOutcome {
        match (self.gateway.find_refund(&self.order).await, refused) {
            (Ok(Some(refund)), _) => RefundOutcome::Refund(refund),
            (Ok(None), Some(error)) => RefundOutcome::Failed(error),
            (Ok(None), None) => RefundOutcome::Nothing,
            (Err(error), _) => RefundOutcome::Failed(GatewayError {
                class: ErrorClass::Unknown,
                ..error
            }),
        }
    }
}

/// Reclassifies an error that occurred before anything of the refund was sent.
fn unsent(error: GatewayError) -> GatewayError {
    let class = match error.class {
        ErrorClass::Denied | ErrorClass::Throttled => error.class,
        _ => ErrorClass::NotCreated,
    };
    GatewayError { class, ..error }
}

/// Applies the gateway's state of the charge that a refund belongs to.
async fn apply_found(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    (call, found): (&RefundCall, &[GatewayCharge]),
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let is_its = |a: &&AttemptRow| a.id.reference() == call.order.charge_reference;
    let attempt = charge.attempts.iter().find(is_its).map(|a| a.id);
    if let Some(attempt) = attempt {
        for observed in found {
            applied.extend(apply(db, charge, attempt, observed).await?);
        }
    }
    Ok(())
}

async fn locked(
    db: &mut PgConnection,
    store: &Store,
    call: &RefundCall,
) -> Result<Option<(LockedCharge, RefundRow)>, StoreError> {
    let Some(charge) = charges::lock(db, store, call.charge).await? else {
        return Ok(None);
    };
    Ok(refunds::find(db, call.id).await?.map(|row| (charge, row)))
}
