//! Reversal of a payment: the gateway took back a cash receipt that was undone in its dashboard. Concluded only from a fresh read.

use gateways::GatewayCharge;
use schemas::{
    attempt::AttemptState,
    charge::ChargeStatus,
    event,
    id::{AttemptId, ChargeId, PaymentId},
    refund,
};
use store::{
    PgConnection, StoreError,
    attempts::{self, AttemptOutcome},
    charges::{self, LockedCharge},
    disputes,
    payments::{self, PaymentRow as Payment},
    refunds,
};

use super::{
    Applied, money,
    schedule::{due_end, next_scheduled_check},
};
use crate::Activities;

/// Returns true if an observation that may be outdated contradicts applied payments: the gateway must then be read instead.
pub(crate) async fn contradicts(
    db: &mut PgConnection,
    charge: &LockedCharge,
    attempt: AttemptId,
    observed: &GatewayCharge,
) -> Result<bool, StoreError> {
    if charge.amount_paid == 0 && observed.payments.is_empty() {
        return Ok(false);
    }
    let known = payments::rows(db, charge.id).await?;
    let undone = known.iter().any(|payment| {
        payment.attempt == attempt
            && payment.reversed_at.is_none()
            && is_taken_back(payment, std::slice::from_ref(observed))
    });
    let returned = observed.payments.iter().any(|payment| {
        let same = || known.iter().filter(|row| row.is(&payment.id));
        same().next().is_some() && same().all(|row| row.reversed_at.is_some())
    });
    Ok(undone || returned)
}

/// Returns a charge's payments before its gateway is read: a payment that is recorded during the read is newer than the read.
pub(crate) async fn recorded_payments(
    db: &mut PgConnection,
    charge: ChargeId,
) -> Result<Vec<PaymentId>, StoreError> {
    let rows = payments::rows(db, charge).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Reverses the attempt's payments that were recorded before the gateway was read and that it no longer has. Returns true if there were
/// any.
pub(crate) async fn reverse(
    acts: &Activities,
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    (id, found, recorded): (AttemptId, &[GatewayCharge], &[PaymentId]),
    applied: &mut Applied,
) -> Result<bool, StoreError> {
    let known = payments::rows(db, charge.id).await?;
    let live = || known.iter().filter(|row| row.reversed_at.is_none());
    let gone = |row: &Payment| {
        row.attempt == id && recorded.contains(&row.id) && is_taken_back(row, found)
    };
    if !live().any(gone) {
        return Ok(false);
    }
    for payment in live().filter(|row| gone(row)) {
        payments::reverse(db, payment.id).await?;
        charges::add_paid(db, charge, -payment.amount).await?;
        tracing::warn!(charge = %charge.id, payment = %payment.id, gateway = %payment.gateway, "the gateway took a receipt back");
    }
    let money_on = |attempt: Option<AttemptId>| {
        live().any(|row| !gone(row) && attempt.is_none_or(|attempt| row.attempt == attempt))
    };
    if !money_on(Some(id)) {
        let unpaid = !money_on(None);
        leave_paid(acts, db, charge, (id, found, unpaid), applied).await?;
    }
    money::sync_status(acts, db, charge, applied).await?;
    let kind = event::EventType::ChargePaymentReversed;
    let due = charges::append_event(db, &acts.store, charge, kind).await?;
    applied.due.extend(due);
    Ok(true)
}

/// Moves an attempt without payments out of `paid`: its instrument is presented again, or is voided.
async fn leave_paid(
    acts: &Activities,
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    (id, found, unpaid): (AttemptId, &[GatewayCharge], bool),
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let object = found
        .iter()
        .find(|object| object.status.is_payable() && object.next_action.is_some());
    let wanted = unpaid && is_collectable(db, charge).await?;
    if let Some(object) = object.filter(|_| wanted) {
        let again = AttemptOutcome {
            gateway_charge_id: Some(object.id.clone()),
            next_action: object.next_action.clone(),
            ..AttemptOutcome::of(AttemptState::Presented)
        };
        attempts::transition(db, id, AttemptState::Paid, &again).await?;
        let overdue = due_end(charge).is_some_and(|at| at <= charge.now);
        let payable = if overdue {
            ChargeStatus::Overdue
        } else {
            ChargeStatus::Pending
        };
        charges::yield_reference(db, charge).await?;
        charges::set_status(db, charge, payable, None).await?;
        return charges::set_next_check(db, charge.id, Some(next_scheduled_check(charge)), 0).await;
    }
    let unwanted = AttemptOutcome {
        next_check_at: Some(charge.now),
        ..AttemptOutcome::of(AttemptState::Abandoned)
    };
    attempts::transition(db, id, AttemptState::Paid, &unwanted).await?;
    applied.orphans.push(id);
    if unpaid {
        let review = ChargeStatus::NeedsReview;
        let due = charges::transition(db, &acts.store, charge, review, None).await?;
        applied.due.extend(due.unwrap_or_default());
    }
    Ok(())
}

/// Returns true if the charge may become payable again: nothing of it was refunded or disputed, and it has not expired.
async fn is_collectable(db: &mut PgConnection, charge: &LockedCharge) -> Result<bool, StoreError> {
    if charge.status != ChargeStatus::Paid
        || charge.cancel_requested_at.is_some()
        || charge.expires_at <= charge.now
    {
        return Ok(false);
    }
    let returned = refunds::of_charge(db, charge.id)
        .await?
        .iter()
        .any(|row| row.status != refund::RefundStatus::Failed);
    let disputed = !disputes::of_charge(db, charge.id).await?.is_empty();
    let shown = attempts::of_charge(db, charge.id)
        .await?
        .iter()
        .any(|row| row.state == AttemptState::Presented);
    Ok(!returned && !disputed && !shown)
}

/// Returns true if the object that held the payment exists, is payable, and no longer contains it.
fn is_taken_back(payment: &Payment, found: &[GatewayCharge]) -> bool {
    let object = found
        .iter()
        .any(|object| object.id == payment.gateway_payment_id && object.status.is_payable());
    let still_there = found
        .iter()
        .flat_map(|object| &object.payments)
        .any(|theirs| payment.is(&theirs.id));
    object && !still_there
}
