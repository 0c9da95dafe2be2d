//! Decisions about an orphan under its charge's lock.

use gateways::GatewayCharge;
use schemas::{attempt::AttemptState, charge::ChargeStatus};
use store::{
    PgConnection, StoreError,
    attempts::{AttemptOutcome, AttemptRow},
    charges::{self, LockedCharge},
};

use super::{Decided, Orphan, close::close_orphan, leased, read::Read};
use crate::{
    Activities, PollStep, Progress, alerts,
    charge::{Applied, apply, reversal, schedule::next_scheduled_check},
};

/// Number of voids of an instrument that was restored each time after which the merchant is alerted.
const VOIDS_BEFORE_REVIEW: i32 = 3;

impl Activities {
    /// Applies the gateway's state, adopts an instrument that the charge still wants, and decides which objects must be voided.
    pub(super) async fn decide(&self, orphan: &Orphan, read: Read) -> Result<Decided, StoreError> {
        let mut tx = self.store.begin().await?;
        let Some((mut charge, row)) = leased(&mut tx, &self.store, orphan).await? else {
            return Ok(Decided::Step(Progress::unchanged(PollStep::NOW)));
        };
        let before = charge.status;
        let mut applied = Applied::default();
        let mut unwanted = Vec::new();
        let progress = match read {
            Read::Objects(objects) => {
                let about = (row.id, objects.as_slice(), orphan.recorded.as_slice());
                reversal::reverse(&mut tx, &mut charge, about, &mut applied).await?;
                unwanted = sort(&mut tx, &mut charge, (&row, objects), &mut applied).await?;
                if unwanted.is_empty() {
                    close_orphan(&mut charge, orphan, AttemptState::Voided);
                    Progress::changed(PollStep::Done)
                } else {
                    decide_to_void(&mut tx, &mut charge, &row, &mut applied).await?;
                    Progress::changed(PollStep::NOW)
                }
            }
            Read::Rejected if orphan.is_visible => {
                close_orphan(&mut charge, orphan, AttemptState::Absent);
                Progress::changed(PollStep::Done)
            }
            Read::Rejected => {
                let now = charge.now;
                if let Some(row) = charge.attempt_mut(row.id) {
                    row.rejected_at = row.rejected_at.or(Some(now));
                }
                self.again(&mut charge, &row, true)
            }
            // presented or paid: only further objects were searched for
            Read::Nothing if row.state != AttemptState::Abandoned => {
                close_orphan(&mut charge, orphan, AttemptState::Voided);
                Progress::changed(PollStep::Done)
            }
            Read::Nothing => {
                self.search_on(&mut tx, &mut charge, (&row, None), &mut applied)
                    .await?
            }
            Read::Unanswered(error) => {
                self.search_on(&mut tx, &mut charge, (&row, Some(error)), &mut applied)
                    .await?
            }
        };
        if unwanted.is_empty()
            && let Some(row) = charge.attempt_mut(orphan.attempt)
        {
            row.end_lease();
        }
        applied
            .due
            .extend(charges::save(&mut tx, &mut charge).await?);
        tx.commit().await?;
        let waits = charge.status == ChargeStatus::Processing && progress.step == PollStep::Done;
        applied.start(self, &charge);
        if charge.status != before || waits {
            self.wake_charge(charge.merchant, charge.id).await;
        }
        Ok(if unwanted.is_empty() {
            Decided::Step(progress)
        } else {
            Decided::Void(unwanted)
        })
    }
}

/// Applies payments and presents one instrument if the charge has none and still wants one. Returns the other objects.
async fn sort(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    (row, objects): (&AttemptRow, Vec<GatewayCharge>),
    applied: &mut Applied,
) -> Result<Vec<GatewayCharge>, StoreError> {
    // payments first: they decide which instrument is the charge's
    let (paid, unpaid): (Vec<_>, Vec<_>) = objects
        .into_iter()
        .partition(|object| !object.payments.is_empty());
    for object in &paid {
        applied.extend(apply(db, charge, row.id, object).await?);
    }
    let Some(row) = charge.attempt(row.id).cloned() else {
        return Ok(Vec::new());
    };
    let wanted = wanted(charge) && !row.voiding;
    let mut keep = (row.state == AttemptState::Presented)
        .then(|| row.gateway_charge_id.clone())
        .flatten();
    let mut unwanted = Vec::new();
    for object in unpaid {
        if !object.status.is_payable() || keep.as_deref() == Some(object.id.as_str()) {
        } else if keep.is_none() && wanted && object.next_action.is_some() {
            if adopt(charge, &row, &object)? {
                keep = Some(object.id.clone());
            } else {
                unwanted.push(object);
            }
        } else {
            unwanted.push(object);
        }
    }
    Ok(unwanted)
}

/// Presents an abandoned instrument. Returns false if the state tables do not allow it.
fn adopt(
    charge: &mut LockedCharge,
    row: &AttemptRow,
    object: &GatewayCharge,
) -> Result<bool, StoreError> {
    if !charge.status.may_become(ChargeStatus::Pending) {
        return Ok(false);
    }
    let outcome = AttemptOutcome {
        gateway_charge_id: Some(object.id.clone()),
        next_action: object.next_action.clone(),
        ..AttemptOutcome::of(AttemptState::Presented)
    };
    if !charge.move_attempt(row.id, &outcome) {
        return Ok(false);
    }
    charge.set_next_check(Some(next_scheduled_check(charge)), 0);
    tracing::info!(charge = %charge.id, attempt = %row.id, "presented an abandoned attempt after all");
    charge.transition(ChargeStatus::Pending, None)
}

/// Writes the decision to void before the calls that do it. Alerts the merchant of an instrument that is restored repeatedly.
async fn decide_to_void(
    db: &mut PgConnection,
    charge: &mut LockedCharge,
    row: &AttemptRow,
    applied: &mut Applied,
) -> Result<(), StoreError> {
    if let Some(row) = charge.attempt_mut(row.id) {
        row.set_voiding();
    }
    // a retry of the same void after it failed is not a new one
    if row.voiding || row.voids + 1 != VOIDS_BEFORE_REVIEW {
        return Ok(());
    }
    let message = format!(
        "the charge {} was made payable at the gateway again and again after it was voided: find out who restores it",
        charge.id
    );
    let due = alerts::raise(db, row.connection, "instrument_restored", &message).await?;
    applied.due.extend(due);
    if matches!(
        charge.status,
        ChargeStatus::Expired | ChargeStatus::Canceled | ChargeStatus::Failed
    ) {
        charge.transition(ChargeStatus::NeedsReview, None)?;
    }
    Ok(())
}

/// Returns true if the charge would present an instrument: no other attempt is open, presented or paid.
fn wanted(charge: &LockedCharge) -> bool {
    let busy = charge.attempts.iter().any(|row| {
        matches!(
            row.state,
            AttemptState::Open | AttemptState::Presented | AttemptState::Paid
        )
    });
    charge.status == ChargeStatus::Processing
        && charge.cancel_requested_at.is_none()
        && charge.expires_at > charge.now
        && !busy
}
