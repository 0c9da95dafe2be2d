//! Refunds and disputes as gateways report them, applied under the charge's lock. The state tables decide; the charge's row holds the sums,
//! and its status follows from them.

use gateways::{GatewayCharge, GatewayDispute, GatewayRefund, GatewayStatus, RefundStatus};
use schemas::{
    charge::{ChargeStatus, GatewayFailure, Metadata},
    dispute,
    id::{DisputeId, RefundId},
    refund::{self, RefundOrigin},
};
use store::{
    PgConnection, StoreError,
    charges::LockedCharge,
    disputes,
    payments::PaymentRow as Payment,
    refunds::{self, RefundRow},
};

use crate::delta;
use crate::retry::refund::SYNC_AFTER;

/// Applies a refund that a gateway reported. Returns false if its payment is not known yet.
pub(crate) async fn apply_refund(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    observed: &GatewayRefund,
) -> Result<bool, StoreError> {
    let payment = charge.payments.iter().find(|p| p.is(&observed.payment));
    let Some(payment) = payment.cloned() else {
        return Ok(false);
    };
    let payment = &payment;
    let mut rows = refunds::of_charge(db, charge.id).await?;
    if let Some(row) = match_refund(&mut rows, payment, observed) {
        refunds::set_gateway_id(db, row, &observed.id).await?;
        let failure = failure(row, observed);
        let next = status(observed.status);
        move_refund(db, charge, row, (next, failure.as_ref())).await?;
    } else {
        // some gateways report the sum of partial refunds: only the amount beyond the known refunds is new
        let standing = rows
            .iter()
            .filter(|row| row.payment == payment.id && row.status != refund::RefundStatus::Failed);
        let left = payment.amount - standing.map(|row| row.amount).sum::<i64>();
        let observed = GatewayRefund {
            amount: if is_sum(payment, observed) {
                observed.amount.min(left)
            } else {
                observed.amount
            },
            ..observed.clone()
        };
        if observed.amount <= 0 {
            return Ok(true);
        }
        let mut row = insert(db, charge, payment, &observed).await?;
        update_totals(charge, row.status, row.amount);
        refunds::append_event(db, charge, &mut row).await?;
    }
    sync_status(charge)?;
    Ok(true)
}

/// Returns true if the gateway reports that a payment was refunded in full without listing the refunds: the refund's id is then derived
/// from the payment's.
fn is_sum(payment: &Payment, observed: &GatewayRefund) -> bool {
    let made = |id: &str| {
        observed
            .id
            .strip_prefix(id)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    made(&payment.gateway_payment_id) || payment.end_to_end_id.as_deref().is_some_and(made)
}

/// Moves a refund of a locked charge, updates the charge's sums, and appends the event. Does not change the charge's status.
pub(crate) async fn move_refund(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    row: &mut RefundRow,
    (next, failure): (refund::RefundStatus, Option<&GatewayFailure>),
) -> Result<(), StoreError> {
    let before = row.status;
    if !refunds::transition(db, row, next, failure).await? {
        return Ok(());
    }
    if row.failure.is_none() {
        row.failure = failure.cloned();
    }
    update_totals(charge, before, -row.amount);
    update_totals(charge, next, row.amount);
    if let Some(fresh) = refunds::find(db, row.id).await? {
        *row = fresh;
    }
    refunds::append_event(db, charge, row).await
}

/// Returns the row of an observed refund: by our reference; else by the gateway's id; else, if the gateway repeats no reference, the only
/// refund of ours that fits.
fn match_refund<'a>(
    rows: &'a mut [RefundRow],
    payment: &Payment,
    observed: &GatewayRefund,
) -> Option<&'a mut RefundRow> {
    let ours = observed
        .reference
        .as_deref()
        .and_then(RefundId::from_reference);
    let same = |row: &RefundRow| {
        Some(row.id) == ours
            || (row.payment == payment.id
                && row.gateway_refund_id.as_deref() == Some(observed.id.as_str()))
    };
    if let Some(at) = rows.iter().position(same) {
        return rows.get_mut(at);
    }
    if ours.is_some() {
        return None;
    }
    let fits = |row: &RefundRow| {
        row.origin == RefundOrigin::Merchant
            && row.payment == payment.id
            && row.amount == observed.amount
            && row.gateway_refund_id.is_none()
            && row.sent_at.is_some()
            && row.status != refund::RefundStatus::Failed
    };
    let mut fitting = (0..rows.len()).filter(|at| fits(&rows[*at]));
    match (fitting.next(), fitting.next()) {
        (Some(at), None) => rows.get_mut(at),
        _ => None,
    }
}

/// Inserts a refund that was made at the gateway, not by us.
async fn insert(
    db: &mut PgConnection,
    charge: &LockedCharge,
    payment: &Payment,
    observed: &GatewayRefund,
) -> Result<RefundRow, StoreError> {
    let id = RefundId(store::new_id());
    let new = refunds::NewRefund {
        id,
        merchant: charge.merchant,
        mode: charge.mode,
        charge: charge.id,
        payment: payment.id,
        connection: payment.connection,
        gateway: payment.gateway,
        status: status(observed.status),
        origin: RefundOrigin::Gateway,
        amount: observed.amount,
        reason: None,
        metadata: &Metadata::default(),
        gateway_refund_id: Some(&observed.id),
        // a refund in progress at the gateway is checked until it ends
        next_check_at: (observed.status == RefundStatus::Pending)
            .then(|| charge.now + delta(SYNC_AFTER)),
    };
    refunds::insert(db, &new).await?;
    refunds::find(db, id)
        .await?
        .ok_or_else(|| StoreError::corrupt("refunds", "an inserted refund is not there"))
}

fn status(theirs: RefundStatus) -> refund::RefundStatus {
    match theirs {
        RefundStatus::Pending => refund::RefundStatus::Pending,
        RefundStatus::Succeeded => refund::RefundStatus::Succeeded,
        RefundStatus::Failed => refund::RefundStatus::Failed,
    }
}

fn failure(row: &RefundRow, observed: &GatewayRefund) -> Option<GatewayFailure> {
    (observed.status == RefundStatus::Failed).then(|| GatewayFailure {
        kind: row.gateway,
        code: "refund_failed".to_owned(),
        message: observed
            .reason
            .clone()
            .unwrap_or_else(|| "the gateway did not give the money back".to_owned()),
    })
}

/// Adds a refund's amount to the sum that its status belongs to.
pub(crate) fn update_totals(charge: &mut LockedCharge, status: refund::RefundStatus, amount: i64) {
    match status {
        refund::RefundStatus::Pending | refund::RefundStatus::NeedsReview => {
            charge.amount_refund_pending += amount;
        }
        refund::RefundStatus::Succeeded => charge.amount_refunded += amount,
        refund::RefundStatus::Failed => {}
    }
}

/// Applies a dispute that a gateway reported. Returns false if its payment is not known yet.
pub(crate) async fn apply_dispute(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    observed: &GatewayDispute,
) -> Result<bool, StoreError> {
    let payment = charge.payments.iter().find(|p| p.is(&observed.payment));
    let Some(payment) = payment.cloned() else {
        return Ok(false);
    };
    let payment = &payment;
    let rows = disputes::of_charge(db, charge.id).await?;
    let same = rows
        .into_iter()
        .find(|row| is_same(&row.shown, payment, observed));
    let (mut row, held) = match same {
        Some(row) => {
            let held = row.shown.status.holds_money();
            (row, held)
        }
        None => (insert_dispute(db, charge, payment, observed).await?, false),
    };
    let is_new = row.event_sequence == 0;
    if !is_new && !disputes::transition(db, &mut row, observed.status).await? {
        return Ok(true);
    }
    charge.amount_disputed += match (held, row.shown.status.holds_money()) {
        (false, true) => row.shown.amount,
        (true, false) => -row.shown.amount,
        _ => 0,
    };
    charge.has_disputes = true;
    tracing::warn!(charge = %charge.id, dispute = %row.shown.id, gateway = %row.shown.gateway, status = %row.shown.status, "dispute");
    disputes::append_event(db, charge, &mut row).await?;
    sync_status(charge)?;
    Ok(true)
}

/// Returns true if `observed` ends a dispute by no longer listing it. Where a dispute is a state of the payment itself (its id is the
/// payment's), a payment that is only paid or refunded is no longer disputed.
pub(crate) async fn ends_dispute(
    db: &mut PgConnection,
    charge: &LockedCharge,
    observed: &GatewayCharge,
) -> Result<bool, StoreError> {
    if charge.amount_disputed == 0 || observed.payments.is_empty() {
        return Ok(false);
    }
    let rows = disputes::of_charge(db, charge.id).await?;
    Ok(rows.iter().any(|row| is_left_out(&row.shown, observed)))
}

fn is_left_out(row: &dispute::Dispute, observed: &GatewayCharge) -> bool {
    let id = row.gateway_dispute_id.as_str();
    row.closed_at.is_none()
        && observed.payments.iter().any(|payment| payment.id == id)
        && !observed.disputes.iter().any(|dispute| dispute.id == id)
}

/// Closes the disputes that `observed` no longer lists: lost if the money was refunded, won otherwise. `observed` must be a fresh read.
pub(crate) async fn close_resolved_disputes(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    observed: &GatewayCharge,
) -> Result<(), StoreError> {
    if !charge.has_disputes {
        return Ok(());
    }
    let status = match observed.status {
        GatewayStatus::Refunded => dispute::DisputeStatus::Lost,
        _ => dispute::DisputeStatus::Won,
    };
    for row in disputes::of_charge(db, charge.id).await? {
        if !is_left_out(&row.shown, observed) {
            continue;
        }
        let ended = GatewayDispute {
            id: row.shown.gateway_dispute_id.clone(),
            payment: row.shown.gateway_dispute_id,
            amount: row.shown.amount,
            kind: row.shown.kind,
            status,
            reason: None,
            respond_by: None,
            created_at: None,
        };
        apply_dispute(db, charge, &ended).await?;
    }
    Ok(())
}

/// Returns true if both are the same dispute. The return of money by a MED carries another id than the MED itself.
fn is_same(row: &dispute::Dispute, payment: &Payment, observed: &GatewayDispute) -> bool {
    let is_return = observed.kind == dispute::DisputeKind::Med
        && row.kind == dispute::DisputeKind::Med
        && row.payment == payment.id
        && row.amount == observed.amount
        && (row.status == dispute::DisputeStatus::Lost
            || observed.status == dispute::DisputeStatus::Lost)
        && row.status != dispute::DisputeStatus::Won;
    row.gateway_dispute_id == observed.id || is_return
}

async fn insert_dispute(
    db: &mut PgConnection,
    charge: &LockedCharge,
    payment: &Payment,
    observed: &GatewayDispute,
) -> Result<disputes::DisputeRow, StoreError> {
    let id = DisputeId(store::new_id());
    let new = disputes::NewDispute {
        id,
        merchant: charge.merchant,
        mode: charge.mode,
        charge: charge.id,
        payment: payment.id,
        connection: payment.connection,
        gateway: payment.gateway,
        gateway_dispute_id: &observed.id,
        kind: observed.kind,
        status: observed.status,
        amount: observed.amount,
        reason: observed.reason.as_deref(),
        respond_by: observed.respond_by,
    };
    disputes::insert(db, &new).await?;
    disputes::of_charge(db, charge.id)
        .await?
        .into_iter()
        .find(|row| row.shown.id == id)
        .ok_or_else(|| StoreError::corrupt("disputes", "an inserted dispute is not there"))
}

/// Sets a paid charge's status from its sums. If more was refunded and disputed than was paid, the charge moves to `needs_review`.
pub(crate) fn sync_status(charge: &mut LockedCharge) -> Result<(), StoreError> {
    if !matches!(
        charge.status,
        ChargeStatus::Paid | ChargeStatus::Refunded | ChargeStatus::Disputed
    ) {
        return Ok(());
    }
    let returned = charge.amount_refunded + charge.amount_disputed;
    let next = if returned > charge.amount_paid {
        ChargeStatus::NeedsReview
    } else if charge.amount_disputed > 0 {
        ChargeStatus::Disputed
    } else if charge.amount_refunded >= charge.amount_paid {
        ChargeStatus::Refunded
    } else {
        ChargeStatus::Paid
    };
    if next != charge.status {
        charge.transition(next, None)?;
    }
    Ok(())
}
