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
    attempts::AttemptOutcome,
    charges::{self, LockedCharge},
    payments::{self, PaymentRow as Payment},
    refunds,
};

use super::{
    Applied, money,
    schedule::{due_end, next_scheduled_check},
};

/// Returns true if an observation that may be outdated contradicts applied payments: the gateway must then be read instead.
pub(crate) fn contradicts(
    charge: &LockedCharge,
    attempt: AttemptId,
    observed: &GatewayCharge,
) -> bool {
    if charge.amount_paid == 0 && observed.payments.is_empty() {
        return false;
    }
    let known = &charge.payments;
    let undone = known.iter().any(|payment| {
        payment.attempt == attempt
            && payment.reversed_at.is_none()
            && is_taken_back(payment, std::slice::from_ref(observed))
    });
    let returned = observed.payments.iter().any(|payment| {
        let same = || known.iter().filter(|row| row.is(&payment.id));
        same().next().is_some() && same().all(|row| row.reversed_at.is_some())
    });
    undone || returned
}

/// Returns a charge's payments before its gateway is read: a payment that is recorded during the read is newer than the read.
pub(crate) async fn recorded_payments(
    db: &mut PgConnection,
    charge: ChargeId,
) -> Result<Vec<PaymentId>, StoreError> {
    let rows = payments::of_charges(db, &[charge.uuid()]).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Reverses the attempt's payments that were recorded before the gateway was read and that it no longer has. Returns true if there were
/// any.
pub(crate) async fn reverse(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    (id, found, recorded): (AttemptId, &[GatewayCharge], &[PaymentId]),
    applied: &mut Applied,
) -> Result<bool, StoreError> {
    let known = charge.payments.clone();
    let live = || known.iter().filter(|row| row.reversed_at.is_none());
    let gone = |row: &Payment| {
        row.attempt == id && recorded.contains(&row.id) && is_taken_back(row, found)
    };
    if !live().any(gone) {
        return Ok(false);
    }
    for payment in live().filter(|row| gone(row)) {
        payments::reverse(db, charge, payment.id).await?;
        tracing::warn!(charge = %charge.id, payment = %payment.id, gateway = %payment.gateway, "the gateway took a receipt back");
    }
    let money_on = |attempt: Option<AttemptId>| {
        live().any(|row| !gone(row) && attempt.is_none_or(|attempt| row.attempt == attempt))
    };
    if !money_on(Some(id)) {
        let unpaid = !money_on(None);
        leave_paid(db, charge, (id, found, unpaid), applied).await?;
    }
    money::sync_status(charge)?;
    charge.append_event(event::EventType::ChargePaymentReversed)?;
    Ok(true)
}

/// Moves an attempt without payments out of `paid`: its instrument is presented again, or is voided.
async fn leave_paid(
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
        charge.move_attempt(id, &again);
        let overdue = due_end(charge).is_some_and(|at| at <= charge.now);
        let payable = if overdue {
            ChargeStatus::Overdue
        } else {
            ChargeStatus::Pending
        };
        charges::yield_reference(db, charge).await?;
        charge.set_status(payable, None);
        charge.set_next_check(Some(next_scheduled_check(charge)), 0);
        return Ok(());
    }
    let unwanted = AttemptOutcome {
        next_check_at: Some(charge.now),
        ..AttemptOutcome::of(AttemptState::Abandoned)
    };
    charge.move_attempt(id, &unwanted);
    applied.orphans.push(id);
    if unpaid {
        charge.transition(ChargeStatus::NeedsReview, None)?;
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
    Ok(!returned && !charge.has_disputes && !charge.has_attempt_in(AttemptState::Presented))
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
