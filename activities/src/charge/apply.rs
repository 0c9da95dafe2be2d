//! Applies a gateway's state to a charge. Idempotent and independent of order: only transitions that the state tables allow take effect.

use gateways::{FeeEstimate, GatewayCharge, GatewayPayment, GatewayStatus};
use schemas::{attempt::AttemptState, charge::ChargeStatus, event, id::AttemptId};
use store::{
    PgConnection, StoreError,
    attempts::{self, AttemptOutcome},
    charges::{self, LockedCharge},
    deliveries::PendingDelivery,
    payments,
};

use super::{failure::declined_later, money};
use crate::Activities;

/// Work that is left to do after the commit.
#[derive(Default)]
pub(crate) struct Applied {
    pub due: Vec<PendingDelivery>,
    pub orphans: Vec<AttemptId>,
}

/// Applies the state in `observed` to `attempt` and its charge, under the charge's lock.
pub(crate) async fn apply(
    acts: &Activities,
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    id: AttemptId,
    observed: &GatewayCharge,
) -> Result<Applied, StoreError> {
    let mut applied = Applied::default();
    // an orphan whose create had no answer receives its gateway id here; a refund needs it
    attempts::fill_in(db, id, &observed.id, None).await?;
    for payment in &observed.payments {
        let about = (id, payment, observed.id.as_str());
        receive(acts, db, charge, about, &mut applied).await?;
    }
    if let Some(customer) = &observed.customer
        && let Some(attempt) = of(db, charge, id).await?
    {
        charges::remember_payer_at(db, charge, attempt.connection, customer).await?;
    }
    money::close_resolved_disputes(acts, db, charge, observed, &mut applied).await?;
    for refund in &observed.refunds {
        // some gateways report the money of a lost dispute as a refund as well
        if refund.reference.is_some()
            || observed.status != GatewayStatus::Refunded
            || charge.amount_disputed == 0
        {
            money::apply_refund(acts, db, charge, refund, &mut applied).await?;
        }
    }
    for dispute in &observed.disputes {
        money::apply_dispute(acts, db, charge, dispute, &mut applied).await?;
    }
    if observed.payments.is_empty() {
        instrument(acts, db, charge, (id, observed), &mut applied).await?;
    }
    Ok(applied)
}

/// Applies the state of the instrument itself: it is still payable, it can no longer be paid, or it is payable although our rows do not
/// expect it.
async fn instrument(
    acts: &Activities,
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    (id, observed): (AttemptId, &GatewayCharge),
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let Some(attempt) = of(db, charge, id).await? else {
        return Ok(());
    };
    let is_shown = attempt.state == AttemptState::Presented;
    if is_another(attempt.gateway_charge_id.as_deref(), &observed.id) {
        // a second object under the same reference: its end does not concern our instrument, but it must not be payable
        if observed.status.is_payable() && attempt.state != AttemptState::Open {
            arm(db, charge, &attempt, applied).await?;
        }
        return Ok(());
    }
    let is_paid = attempt.state == AttemptState::Paid;
    if observed.status.is_payable() && (attempt.state.is_gone() || is_paid) {
        return arm(db, charge, &attempt, applied).await;
    }
    if is_paid {
        // another object has the money: the end of this one changes nothing
        return Ok(());
    }
    if attempt.state == AttemptState::Abandoned && !observed.status.is_payable() {
        // the attempt may have objects that this answer does not contain: OrphanWorkflow decides when all of them are gone
        attempts::set_next_check(db, id, Some(charge.now), false).await?;
        applied.orphans.push(id);
        return Ok(());
    }
    let (state, status) = match observed.status {
        GatewayStatus::Overdue => (None, Some(ChargeStatus::Overdue)),
        GatewayStatus::Canceled => (Some(AttemptState::Voided), Some(closed_as(charge))),
        // expiry by the gateway's clock, not by ours: some gateways can still confirm it, so our own expiry cancels it there
        GatewayStatus::Expired if !is_shown || is_ending(charge) => {
            (Some(AttemptState::Voided), Some(closed_as(charge)))
        }
        GatewayStatus::Failed => (Some(AttemptState::Declined), Some(ChargeStatus::Failed)),
        GatewayStatus::Expired
        | GatewayStatus::Pending
        | GatewayStatus::Paid
        | GatewayStatus::Refunded
        | GatewayStatus::Disputed => (None, None),
    };
    let allowed = |next: &ChargeStatus| charge.status.may_become(*next);
    if is_shown && status.as_ref().is_some_and(|next| !allowed(next)) {
        return Ok(());
    }
    if let Some(state) = state {
        let is_armed = is_shown && attempt.next_check_at.is_some();
        let outcome = if is_armed {
            // other objects were seen under the reference and are not voided yet
            applied.orphans.push(id);
            AttemptOutcome {
                next_check_at: Some(charge.now),
                ..AttemptOutcome::of(AttemptState::Abandoned)
            }
        } else {
            AttemptOutcome::of(state)
        };
        attempts::transition(db, id, attempt.state, &outcome).await?;
    }
    if let Some(status) = status.filter(|_| is_shown) {
        let declined = (status == ChargeStatus::Failed).then(declined_later);
        let due = charges::transition(db, &acts.store, charge, status, declined.as_ref()).await?;
        applied.due.extend(due.unwrap_or_default());
    }
    Ok(())
}

/// Schedules `OrphanWorkflow` for an attempt that is payable at the gateway and must not be, so that it is voided.
async fn arm(
    db: &mut PgConnection,
    charge: &LockedCharge,
    attempt: &attempts::AttemptRow,
    applied: &mut Applied,
) -> Result<(), StoreError> {
    tracing::warn!(charge = %charge.id, attempt = %attempt.id, state = %attempt.state, "payable at its gateway against our word");
    if attempt.state.is_gone() {
        let payable = AttemptOutcome {
            next_check_at: Some(charge.now),
            ..AttemptOutcome::of(AttemptState::Abandoned)
        };
        attempts::transition(db, attempt.id, attempt.state, &payable).await?;
    } else {
        attempts::set_next_check(db, attempt.id, Some(charge.now), false).await?;
    }
    applied.orphans.push(attempt.id);
    Ok(())
}

/// Returns true if `observed` names another object than `known`. False for another view of the same object: a hosted page and its intent
/// have ids with different prefixes.
fn is_another(known: Option<&str>, observed: &str) -> bool {
    let kind = |id: &str| id.split_once('_').map(|(kind, _)| kind.to_owned());
    known.is_some_and(|known| known != observed && kind(known) == kind(observed))
}

/// Records a payment. The first one on any attempt makes the charge paid and the other instruments unwanted; a further one is reported as a
/// duplicate.
async fn receive(
    acts: &Activities,
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    (id, payment, object): (AttemptId, &GatewayPayment, &str),
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let Some(attempt) = of(db, charge, id).await? else {
        return Ok(());
    };
    let new = payments::NewPayment {
        merchant: charge.merchant,
        mode: charge.mode,
        charge: charge.id,
        attempt: id,
        connection: attempt.connection,
        gateway: attempt.gateway,
        gateway_payment_id: &payment.id,
        end_to_end_id: payment.end_to_end_id.as_deref(),
        amount: payment.amount,
        method: payment.method,
        fee: payment.fee,
        net: payment.net,
        estimated_fee: FeeEstimate::of(attempt.gateway, payment).fee(&charge.settings.prices),
        installments: payment.installments.map(i32::from),
        settles_on: payment.settles_on,
        settled_on: payment.settled_on,
        paid_at: payment.paid_at,
    };
    if !payments::insert(db, &new).await? {
        return Ok(());
    }
    // if an operator marked the charge as paid elsewhere, its first payment here is a duplicate
    let first = charge.amount_paid == 0 && charge.status != ChargeStatus::Paid;
    charges::add_paid(db, charge, payment.amount).await?;
    // there may be further objects under the reference, which must not stay payable
    let is_uncertain = attempt.state == AttemptState::Abandoned
        || attempt.state.is_gone()
        || is_another(attempt.gateway_charge_id.as_deref(), object)
        || (attempt.state != AttemptState::Open && attempt.next_check_at.is_some());
    let paid = AttemptOutcome {
        next_check_at: is_uncertain.then_some(charge.now),
        ..AttemptOutcome::of(AttemptState::Paid)
    };
    let moved = attempts::transition(db, id, attempt.state, &paid).await?;
    if is_uncertain {
        if !moved {
            attempts::set_next_check(db, id, Some(charge.now), false).await?;
        }
        applied.orphans.push(id);
    }
    if !first {
        applied.due.extend(
            charges::append_event(
                db,
                &acts.store,
                charge,
                event::EventType::ChargeDuplicatePayment,
            )
            .await?,
        );
        return Ok(());
    }
    applied.due.extend(record_paid(acts, db, charge).await?);
    for other in attempts::of_charge(db, charge.id).await? {
        if other.state == AttemptState::Presented {
            let unwanted = AttemptOutcome {
                next_check_at: Some(charge.now),
                ..AttemptOutcome::of(AttemptState::Abandoned)
            };
            attempts::transition(db, other.id, other.state, &unwanted).await?;
            applied.orphans.push(other.id);
        }
    }
    Ok(())
}

/// Makes a charge paid. The payment is a duplicate if the charge was no longer payable and another charge has its reference now.
async fn record_paid(
    acts: &Activities,
    db: &mut PgConnection,
    charge: &mut LockedCharge,
) -> Result<Vec<PendingDelivery>, StoreError> {
    let late = matches!(
        charge.status,
        ChargeStatus::Expired | ChargeStatus::Canceled | ChargeStatus::Failed
    );
    let other = if late {
        charges::sibling(db, charge).await?
    } else {
        None
    };
    let Some(other) = other else {
        let due = charges::transition(db, &acts.store, charge, ChargeStatus::Paid, None).await?;
        return Ok(due.unwrap_or_default());
    };
    charges::set_status(db, charge, ChargeStatus::Paid, None).await?;
    charges::append_duplicate_event(db, &acts.store, charge, other).await
}

async fn of(
    db: &mut PgConnection,
    charge: &LockedCharge,
    id: AttemptId,
) -> Result<Option<attempts::AttemptRow>, StoreError> {
    Ok(attempts::of_charge(db, charge.id)
        .await?
        .into_iter()
        .find(|attempt| attempt.id == id))
}

/// Returns the final status of a charge whose instrument can no longer be paid.
fn closed_as(charge: &LockedCharge) -> ChargeStatus {
    if charge.cancel_requested_at.is_none() && charge.expires_at <= charge.now {
        ChargeStatus::Expired
    } else {
        ChargeStatus::Canceled
    }
}

fn is_ending(charge: &LockedCharge) -> bool {
    charge.cancel_requested_at.is_some() || charge.expires_at <= charge.now
}

impl Applied {
    /// Adds the work that another application left.
    pub(crate) fn extend(&mut self, other: Self) {
        self.due.extend(other.due);
        self.orphans.extend(other.orphans);
    }

    /// Starts the remaining work. Call it only after the commit.
    pub(crate) fn start(self, acts: &Activities, charge: &LockedCharge) {
        acts.starter.start_deliveries(self.due);
        for attempt in self.orphans {
            acts.starter
                .start_orphan(charge.merchant, charge.id, attempt);
        }
    }
}
