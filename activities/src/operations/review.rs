//! Manual resolution of charges in `needs_review`, after an operator checked the gateway.

use schemas::{
    attempt::AttemptState,
    charge::ChargeStatus,
    id::{AttemptId, ChargeId},
};
use serde_json::json;
use store::{
    StoreError,
    attempts::AttemptOutcome,
    audit::AuditAction,
    charges::{self, LockedCharge},
};
use strum::{AsRefStr, Display, EnumString};

use super::{OperationError, Operator, OperatorAction};
use crate::{Activities, Subject, delta};

/// Resolution of a charge that needed review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, AsRefStr, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Resolution {
    /// The payer paid in another way: the charge is paid, nothing more may be paid on it, and none of it can be refunded here.
    PaidElsewhere,
    /// Nothing may be paid on it any more: the charge is canceled.
    Void,
    /// The charge stays as it is: paid if money was received, else payable by the presented instrument.
    Keep,
}

impl Activities {
    /// Resolves a charge in `needs_review`. Returns its new status.
    pub async fn resolve_charge(
        &self,
        (id, resolution): (ChargeId, Resolution),
        by: &Operator,
    ) -> Result<ChargeStatus, OperationError> {
        let mut tx = self.store.begin().await.map_err(StoreError::from)?;
        let charge = charges::lock(&mut tx, &self.store, id).await?;
        let mut charge = charge.ok_or_else(|| OperationError::not_found("charge", id))?;
        if charge.status != ChargeStatus::NeedsReview {
            return Err(OperationError::Refused(format!(
                "{id} is {}: only a charge that needs review can be resolved",
                charge.status
            )));
        }
        let next = outcome(&charge, resolution)?;
        if !charge.transition(next, None)? {
            return Err(OperationError::Refused(format!(
                "{id} cannot become {next} from needs_review"
            )));
        }
        let orphans = if next.is_payable() || charge.amount_paid > 0 {
            Vec::new()
        } else {
            abandon(&mut charge)
        };
        let next_check_at = match next {
            ChargeStatus::Canceled => self
                .timing
                .late_checks
                .first()
                .map(|p| charge.now + delta(*p)),
            status if status.is_payable() => Some(charge.now),
            _ => None,
        };
        charge.set_next_check(next_check_at, 0);
        let due = charges::save(&mut tx, &mut charge).await?;
        let operator_action = OperatorAction {
            merchant: charge.merchant,
            mode: Some(charge.mode),
            action: AuditAction::ChargeResolved,
            subject: id.to_string(),
            details: json!({ "resolution": resolution.as_ref(), "status": next }),
        };
        by.note(&mut tx, operator_action).await?;
        tx.commit().await.map_err(StoreError::from)?;
        for due in due {
            self.wake_or_leave(Subject::Delivery(due)).await;
        }
        for attempt in orphans {
            self.wake_or_leave(Subject::orphan(charge.merchant, id, attempt))
                .await;
        }
        self.wake_charge(charge.merchant, id).await;
        Ok(next)
    }
}

/// Returns the new status of the charge.
fn outcome(charge: &LockedCharge, resolution: Resolution) -> Result<ChargeStatus, OperationError> {
    let has_money = charge.amount_paid > charge.amount_refunded + charge.amount_disputed;
    let presented = charge.has_attempt_in(AttemptState::Presented);
    match resolution {
        Resolution::Keep if has_money => Ok(ChargeStatus::Paid),
        Resolution::Keep if presented => Ok(ChargeStatus::Pending),
        Resolution::Keep => Err(OperationError::Refused(format!(
            "{} has received no money and shows no instrument, so that there is nothing to keep: resolve it as void or paid_elsewhere",
            charge.id
        ))),
        Resolution::Void | Resolution::PaidElsewhere if has_money => {
            Err(OperationError::Refused(format!(
                "{} has received money: keep it, and refund the money if it is not due",
                charge.id
            )))
        }
        Resolution::Void => Ok(ChargeStatus::Canceled),
        Resolution::PaidElsewhere => Ok(ChargeStatus::Paid),
    }
}

/// Abandons every instrument that may exist, so that it is voided. Returns their attempts.
fn abandon(charge: &mut LockedCharge) -> Vec<AttemptId> {
    let mut orphans = Vec::new();
    let now = Some(charge.now);
    for row in charge.attempts.clone() {
        match row.state {
            AttemptState::Presented => {
                let unwanted = AttemptOutcome {
                    next_check_at: now,
                    ..AttemptOutcome::of(AttemptState::Abandoned)
                };
                charge.move_attempt(row.id, &unwanted);
            }
            AttemptState::Abandoned => charge.check_attempt(row.id, now, false),
            _ => continue,
        }
        orphans.push(row.id);
    }
    orphans
}
