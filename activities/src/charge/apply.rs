//! Applies a gateway's state to a charge. Idempotent and independent of order: only transitions that the state tables allow take effect.

use gateways::{FeeEstimate, GatewayCharge, GatewayPayment, GatewayStatus};
use schemas::{attempt::AttemptState, charge::ChargeStatus, event, id::AttemptId};
use store::{
    PgConnection, StoreError,
    attempts::{AttemptOutcome, AttemptRow},
    charges::{self, LockedCharge},
    deliveries::PendingDelivery,
    payments,
};

use super::{failure::declined_later, money};
use crate::{Activities, Subject};

/// Work that is left to do after the commit.
#[derive(Default)]
pub(crate) struct Applied {
    pub due: Vec<PendingDelivery>,
    pub orphans: Vec<AttemptId>,
}

/// Applies the state in `observed` to an attempt and its locked charge. The caller saves the charge.
pub(crate) async fn apply(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    id: AttemptId,
    observed: &GatewayCharge,
) -> Result<Applied, StoreError> {
    let mut applied = Applied::default();
    // an orphan whose create had no answer receives its gateway id here; a refund needs it
    charge.fill_in(id, &observed.id, None);
    for payment in &observed.payments {
        let about = (id, payment, observed.id.as_str());
        receive(db, charge, about, &mut applied).await?;
    }
    if let Some(customer) = &observed.customer
        && let Some(connection) = charge.attempt(id).map(|row| row.connection)
    {
        charges::remember_payer_at(db, charge, connection, customer).await?;
    }
    money::close_resolved_disputes(db, charge, observed).await?;
    for refund in &observed.refunds {
        // some gateways report the money of a lost dispute as a refund as well
        if refund.reference.is_some()
            || observed.status != GatewayStatus::Refunded
            || charge.amount_disputed == 0
        {
            money::apply_refund(db, charge, refund).await?;
        }
    }
    for dispute in &observed.disputes {
        money::apply_dispute(db, charge, dispute).await?;
    }
    if observed.payments.is_empty() {
        instrument(charge, (id, observed), &mut applied)?;
    }
    Ok(applied)
}

/// Applies the state of the instrument itself: it is still payable, it can no longer be paid, or it is payable although our rows do not
/// expect it.
fn instrument(
    charge: &mut LockedCharge,
    (id, observed): (AttemptId, &GatewayCharge),
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let Some(attempt) = charge.attempt(id).cloned() else {
        return Ok(());
    };
    let is_shown = attempt.state == AttemptState::Presented;
    if is_another(attempt.gateway_charge_id.as_deref(), &observed.id) {
        // a second object under the same reference: its end does not concern our instrument, but it must not be payable
        if observed.status.is_payable() && attempt.state != AttemptState::Open {
            arm(charge, &attempt, applied);
        }
        return Ok(());
    }
    let is_paid = attempt.state == AttemptState::Paid;
    if observed.status.is_payable() && (attempt.state.is_gone() || is_paid) {
        arm(charge, &attempt, applied);
        return Ok(());
    }
    if is_paid {
        // another object has the money: the end of this one changes nothing
        return Ok(());
    }
    if attempt.state == AttemptState::Abandoned && !observed.status.is_payable() {
        // the attempt may have objects that this answer does not contain: OrphanWorkflow decides when all of them are gone
        charge.check_attempt(id, Some(charge.now), false);
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
        charge.move_attempt(id, &outcome);
    }
    if let Some(status) = status.filter(|_| is_shown) {
        let declined = (status == ChargeStatus::Failed).then(declined_later);
        charge.transition(status, declined.as_ref())?;
    }
    Ok(())
}

/// Schedules `OrphanWorkflow` for an attempt that is payable at the gateway and must not be, so that it is voided.
fn arm(charge: &mut LockedCharge, attempt: &AttemptRow, applied: &mut Applied) {
    tracing::warn!(charge = %charge.id, attempt = %attempt.id, state = %attempt.state, "payable at its gateway against our word");
    if attempt.state.is_gone() {
        let payable = AttemptOutcome {
            next_check_at: Some(charge.now),
            ..AttemptOutcome::of(AttemptState::Abandoned)
        };
        charge.move_attempt(attempt.id, &payable);
    } else {
        charge.check_attempt(attempt.id, Some(charge.now), false);
    }
    applied.orphans.push(attempt.id);
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
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    (id, payment, object): (AttemptId, &GatewayPayment, &str),
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let Some(attempt) = charge.attempt(id).cloned() else {
        return Ok(());
    };
    let new = payments::NewPayment {
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
    if !payments::record(db, charge, &new).await? {
        return Ok(());
    }
    // if an operator marked the charge as paid elsewhere, its first payment here is a duplicate
    let first = charge.amount_paid == 0 && charge.status != ChargeStatus::Paid;
    charge.amount_paid += payment.amount;
    // there may be further objects under the reference, which must not stay payable
    let is_uncertain = attempt.state == AttemptState::Abandoned
        || attempt.state.is_gone()
        || is_another(attempt.gateway_charge_id.as_deref(), object)
        || (attempt.state != AttemptState::Open && attempt.next_check_at.is_some());
    let paid = AttemptOutcome {
        next_check_at: is_uncertain.then_some(charge.now),
        ..AttemptOutcome::of(AttemptState::Paid)
    };
    let moved = charge.move_attempt(id, &paid);
    if is_uncertain {
        if !moved {
            charge.check_attempt(id, Some(charge.now), false);
        }
        applied.orphans.push(id);
    }
    if !first {
        return charge.append_event(event::EventType::ChargeDuplicatePayment);
    }
    record_paid(db, charge).await?;
    let shown = |row: &&AttemptRow| row.state == AttemptState::Presented;
    let others: Vec<_> = charge
        .attempts
        .iter()
        .filter(shown)
        .map(|row| row.id)
        .collect();
    for other in others {
        let unwanted = AttemptOutcome {
            next_check_at: Some(charge.now),
            ..AttemptOutcome::of(AttemptState::Abandoned)
        };
        charge.move_attempt(other, &unwanted);
        applied.orphans.push(other);
    }
    Ok(())
}

/// Makes a charge paid. The payment is a duplicate if the charge was no longer payable and another charge has its reference now.
async fn record_paid(db: &mut PgConnection, charge: &mut LockedCharge) -> Result<(), StoreError> {
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
        return charge.transition(ChargeStatus::Paid, None).map(drop);
    };
    charge.set_status(ChargeStatus::Paid, None);
    charge.append_duplicate_event(other)
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
                .wake_later(Subject::orphan(charge.merchant, charge.id, attempt));
        }
    }
}
