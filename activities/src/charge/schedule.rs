//! Times at which a charge must be synced without a notification.

use schemas::{
    Instant, calendar,
    charge::ChargeStatus,
    payment_method::{Lifetime, PaymentMethodKind},
    retry::jitter,
};
use store::charges::LockedCharge;

use super::degraded::is_without_workflow;
use crate::delta;
use crate::retry::sync::{BOLETO_CONFIRMED_WITHIN, MIDNIGHT_SPREAD};

/// Returns the time of the next sync of a payable charge: the end of its due day if it can be paid after that, else its expiry. Charges
/// that end at midnight are spread. A charge without a workflow is due now.
pub(crate) fn next_scheduled_check(charge: &LockedCharge) -> Instant {
    if is_without_workflow() {
        return charge.now;
    }
    let due_end = due_end(charge).filter(|at| *at > charge.now);
    let at = due_end.map_or(charge.expires_at, |at| at.min(charge.expires_at));
    match charge.payment_method.life() {
        Lifetime::Seconds(_) => at,
        Lifetime::Until(_) => at + delta(jitter(charge.id.uuid(), MIDNIGHT_SPREAD)),
    }
}

pub(crate) fn due_end(charge: &LockedCharge) -> Option<Instant> {
    let due = charge.payment_method.due()?;
    Some(calendar::end_of(calendar::business_day_from(due.due_date)))
}

/// Returns true if the charge is past its due date and still payable.
pub(super) fn is_overdue(charge: &LockedCharge) -> bool {
    charge.status == ChargeStatus::Pending
        && charge.expires_at > charge.now
        && due_end(charge).is_some_and(|at| at <= charge.now)
}

/// Returns the time of the last sync of an expired boleto. Banks report its payment days later; at this time they must have.
pub(super) fn boleto_confirmation_deadline(charge: &LockedCharge) -> Option<Instant> {
    let due_now = charge.next_check_at.is_none_or(|at| at <= charge.now);
    let last_day = calendar::today(charge.expires_at);
    let at = calendar::end_of(calendar::business_days_after(
        last_day,
        BOLETO_CONFIRMED_WITHIN,
    ));
    let at = at + delta(jitter(charge.id.uuid(), MIDNIGHT_SPREAD));
    (charge.method == PaymentMethodKind::Boleto
        && charge.status == ChargeStatus::Expired
        && due_now
        && at > charge.now)
        .then_some(at)
}
