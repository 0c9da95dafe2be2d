//! What a gateway says of a charge, applied to its rows. The transition tables decide; repeated, late, early and disordered
//! words do no harm.

use gateways::{GatewayCharge, GatewayPayment, GatewayStatus};
use schemas::{
    attempt::State,
    charge::{Failure, FailureCode, Status},
    event, fee,
    id::AttemptId,
};
use store::{
    PgConnection, StoreError,
    attempts::{self, Outcome},
    charges::{self, Locked},
    deliveries::Due,
    payments,
};

use super::money;
use crate::Activities;

/// What applying left to do after the commit.
#[derive(Default)]
pub(crate) struct Applied {
    pub due: Vec<Due>,
    pub reconcile: Vec<AttemptId>,
}

/// Applies what `observed` says of `attempt`, under the charge's lock.
pub(crate) async fn apply(
    acts: &Activities,
    db: &mut PgConnection,
    charge: &mut Locked,
    id: AttemptId,
    observed: &GatewayCharge,
) -> Result<Applied, StoreError> {
    let mut applied = Applied::default();
    // an orphan that was never answered for gets its name here; a refund needs it
    attempts::fill_in(db, id, &observed.id, None).await?;
    for payment in &observed.payments {
        receive(acts, db, charge, (id, payment), &mut applied).await?;
    }
    if let Some(customer) = &observed.customer
        && let Some(attempt) = of(db, charge, id).await?
    {
        charges::remember_payer_at(db, charge, attempt.connection, customer).await?;
    }
    money::end_disputes(acts, db, charge, observed, &mut applied).await?;
    for refund in &observed.refunds {
        // what a lost dispute took is told as a refund by some
        if refund.reference.is_some()
            || observed.status != GatewayStatus::Refunded
            || charge.amount_disputed == 0
        {
            money::refunded(acts, db, charge, refund, &mut applied).await?;
        }
    }
    for dispute in &observed.disputes {
        money::disputed(acts, db, charge, dispute, &mut applied).await?;
    }
    if !observed.payments.is_empty() {
        return Ok(applied);
    }
    let Some(attempt) = of(db, charge, id).await? else {
        return Ok(applied);
    };
    let is_shown = attempt.state == State::Presented;
    let (state, status) = match observed.status {
        GatewayStatus::Overdue => (None, Some(Status::Overdue)),
        GatewayStatus::Canceled => (Some(State::Voided), Some(closed_as(charge))),
        // its own clock, not ours: some gateways leave it confirmable, so our timer cancels it there
        GatewayStatus::Expired if !is_shown || is_ending(charge) => {
            (Some(State::Voided), Some(closed_as(charge)))
        }
        GatewayStatus::Failed => (Some(State::Declined), Some(Status::Failed)),
        GatewayStatus::Expired
        | GatewayStatus::Pending
        | GatewayStatus::Paid
        | GatewayStatus::Refunded
        | GatewayStatus::Disputed => (None, None),
    };
    if let Some(state) = state {
        attempts::shift(db, id, attempt.state, &Outcome::of(state)).await?;
    }
    if let Some(status) = status.filter(|_| is_shown) {
        let declined = (status == Status::Failed).then(declined);
        let due = charges::transition(db, &acts.store, charge, status, declined.as_ref()).await?;
        applied.due.extend(due.unwrap_or_default());
    }
    Ok(applied)
}

/// Money: the first on any attempt makes the charge paid and the other instruments unwanted; a further one is told as such.
async fn receive(
    acts: &Activities,
    db: &mut PgConnection,
    charge: &mut Locked,
    (id, payment): (AttemptId, &GatewayPayment),
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let Some(attempt) = of(db, charge, id).await? else {
        return Ok(());
    };
    let priced = (attempt.gateway, payment.method);
    let parts = payment.installments.unwrap_or(1);
    let new = payments::New {
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
        estimated_fee: fee::estimate(&charge.settings.prices, priced, payment.amount, parts),
        installments: payment.installments.map(i32::from),
        settles_on: payment.settles_on,
        settled_on: payment.settled_on,
        paid_at: payment.paid_at,
    };
    if !payments::insert(db, &new).await? {
        return Ok(());
    }
    // one that was paid elsewhere, as an operator stated, is paid twice by its first payment here
    let first = charge.amount_paid == 0 && charge.status != Status::Paid;
    charges::add_paid(db, charge, payment.amount).await?;
    attempts::shift(db, id, attempt.state, &Outcome::of(State::Paid)).await?;
    if !first {
        applied.due.extend(
            charges::record(db, &acts.store, charge, event::Type::ChargeDuplicatePayment).await?,
        );
        return Ok(());
    }
    let due = charges::transition(db, &acts.store, charge, Status::Paid, None).await?;
    applied.due.extend(due.unwrap_or_default());
    for other in attempts::of_charge(db, charge.id).await? {
        if other.state == State::Presented {
            let unwanted = Outcome {
                look_at: Some(charge.now),
                ..Outcome::of(State::Abandoned)
            };
            attempts::shift(db, other.id, other.state, &unwanted).await?;
            applied.reconcile.push(other.id);
        }
    }
    Ok(())
}

async fn of(
    db: &mut PgConnection,
    charge: &Locked,
    id: AttemptId,
) -> Result<Option<attempts::Row>, StoreError> {
    Ok(attempts::of_charge(db, charge.id)
        .await?
        .into_iter()
        .find(|attempt| attempt.id == id))
}

/// What an instrument that can no longer be paid makes of its charge.
fn closed_as(charge: &Locked) -> Status {
    if charge.cancel_requested_at.is_none() && charge.expires_at <= charge.now {
        Status::Expired
    } else {
        Status::Canceled
    }
}

fn is_ending(charge: &Locked) -> bool {
    charge.cancel_requested_at.is_some() || charge.expires_at <= charge.now
}

fn declined() -> Failure {
    Failure {
        code: FailureCode::Declined,
        message: "the payer's payment was declined: try again with a new charge".to_owned(),
        retryable: true,
        gateway: None,
    }
}

impl Applied {
    /// Adds what another application left to do.
    pub(crate) fn extend(&mut self, other: Self) {
        self.due.extend(other.due);
        self.reconcile.extend(other.reconcile);
    }

    /// Starts what is left to do; only after the commit.
    pub(crate) fn start(self, acts: &Activities, charge: &Locked) {
        acts.starter.start_deliveries(self.due);
        for attempt in self.reconcile {
            acts.starter
                .start_reconcile(charge.merchant, charge.id, attempt);
        }
    }
}
