//! Sync of a charge: applies observations, confirms hints at the gateway, and decides the next step.

use std::{collections::BTreeMap, time::Duration};

use futures::{FutureExt, StreamExt, stream};
use gateways::{GatewayCharge, Observed, outside};
use schemas::{
    Instant,
    attempt::AttemptState,
    charge::ChargeStatus,
    id::{AttemptId, ChargeId, PaymentId},
    retry::jitter,
};
use store::{
    PgConnection, StoreError, attempts,
    charges::{self, LockedCharge},
    deliveries::PendingDelivery,
    observations::{self, Observation},
};
use tokio::time::Instant as Stopwatch;

use super::{
    Applied, apply, money, reversal,
    schedule::{boleto_confirmation_deadline, is_overdue, next_scheduled_check},
};
use crate::retry::sync::{
    HINT_CHECKS, LATE_AGAIN, LATE_FOR, READ_AGAIN, READ_WITHIN, UNANSWERED_CHECKS, WAITING,
};
use crate::{Activities, Progress, Step, alerts, delta, until};

/// Number of attempts that are read concurrently.
const READS_AT_A_TIME: usize = 4;

/// Input of one sync.
#[derive(Default)]
struct Evidence {
    proved: Vec<(Observation, Option<Observed>)>,
    /// Payments that were recorded before any gateway was read.
    recorded: Vec<PaymentId>,
    hints: Vec<GatewayRead>,
    late: Vec<GatewayRead>,
}

/// Read of one attempt at its gateway, with the hints that caused it.
struct GatewayRead {
    attempt: AttemptId,
    observations: Vec<Observation>,
    /// `None` if the gateway did not answer.
    found: Option<Vec<GatewayCharge>>,
}

/// Result of applying the evidence.
#[derive(Default)]
struct Synced {
    applied: Applied,
    changed: bool,
    /// True if a hint was not confirmed or a gateway did not answer.
    unanswered: bool,
    /// True if an observation became a hint: the gateway is read in the next sync.
    must_read: bool,
}

impl Activities {
    /// Applies observations and gateway reads, then decides the next step.
    pub async fn sync_charge(&self, id: ChargeId) -> Result<Progress, StoreError> {
        let evidence = Box::pin(self.gather_evidence(id)).await?;
        let mut tx = self.store.begin().await?;
        let Some(mut charge) = charges::lock(&mut tx, &self.store, id).await? else {
            return Ok(Progress::unchanged(Step::Done));
        };
        let before = charge.status;
        let mut synced = Synced::default();
        for (observation, observed) in &evidence.proved {
            self.apply_observation(
                &mut tx,
                &mut charge,
                (observation, observed.as_ref()),
                &mut synced,
            )
            .await?;
        }
        for asked in evidence.hints.iter().chain(&evidence.late) {
            let asked = (asked, evidence.recorded.as_slice());
            self.apply_read(&mut tx, &mut charge, asked, &mut synced)
                .await?;
        }
        if is_overdue(&charge) {
            charge.transition(ChargeStatus::Overdue, None)?;
        }
        let (step, next_check_at, checks) = if synced.must_read {
            (Step::SYNC, Some(charge.now), charge.checks)
        } else {
            self.next(&charge, synced.unanswered)
        };
        charge.set_next_check(next_check_at, checks);
        let due = charges::save(&mut tx, &mut charge).await?;
        synced.applied.due.extend(due);
        tx.commit().await?;
        synced.applied.start(self, &charge);
        Ok(Progress {
            step,
            changed: synced.changed || synced.must_read || charge.status != before,
        })
    }

    /// Applies one proved observation. If it contradicts the rows, or cannot be applied yet, the gateway is read instead.
    async fn apply_observation(
        &self,
        db: &mut PgConnection,
        charge: &mut LockedCharge,
        (observation, observed): (&Observation, Option<&Observed>),
        synced: &mut Synced,
    ) -> Result<(), StoreError> {
        let applied = &mut synced.applied;
        let known = match observed {
            None => false,
            Some(Observed::Charge(stated)) => {
                let stale = money::ends_dispute(db, charge, stated).await?
                    || reversal::contradicts(charge, observation.attempt, stated);
                if !stale {
                    applied.extend(apply(db, charge, observation.attempt, stated).await?);
                }
                !stale
            }
            Some(Observed::Refund(refund)) => money::apply_refund(db, charge, refund).await?,
            Some(Observed::Dispute(dispute)) => money::apply_dispute(db, charge, dispute).await?,
        };
        if known {
            observations::handled(db, observation).await?;
            synced.changed = true;
        } else {
            observations::must_read(db, observation).await?;
            synced.must_read = true;
        }
        Ok(())
    }

    /// Applies the current state of one attempt at its gateway. Unconfirmed hints are checked again, up to a limit.
    async fn apply_read(
        &self,
        db: &mut PgConnection,
        charge: &mut LockedCharge,
        (asked, recorded): (&GatewayRead, &[PaymentId]),
        synced: &mut Synced,
    ) -> Result<(), StoreError> {
        let mut confirmed = false;
        if let Some(found) = &asked.found {
            let applied = &mut synced.applied;
            let about = (asked.attempt, found.as_slice(), recorded);
            confirmed |= reversal::reverse(db, charge, about, applied).await?;
            for object in found {
                let armed = applied.orphans.len();
                applied.extend(apply(db, charge, asked.attempt, object).await?);
                confirmed |= !object.status.is_payable() || applied.orphans.len() > armed;
            }
        }
        synced.changed |= confirmed;
        let checks = match &asked.found {
            Some(_) => HINT_CHECKS,
            None => UNANSWERED_CHECKS,
        };
        for observation in &asked.observations {
            if confirmed {
                observations::handled(db, observation).await?;
            } else if observation.checks + 1 < checks {
                observations::unconfirmed(db, observation).await?;
                synced.unanswered = true;
            } else {
                observations::handled(db, observation).await?;
                synced.changed = true;
                synced
                    .applied
                    .due
                    .extend(give_up(db, charge, observation).await?);
            }
        }
        synced.unanswered |= asked.observations.is_empty() && asked.found.is_none();
        Ok(())
    }

    /// Loads observations, and reads the gateways for hints and for late payments. Runs outside of any transaction and holds no database
    /// connection: a gateway may be slow.
    async fn gather_evidence(&self, id: ChargeId) -> Result<Evidence, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let unhandled = observations::unhandled(&mut db, id).await?;
        let late = unhandled.is_late;
        let mut evidence = Evidence::default();
        let mut hints: BTreeMap<AttemptId, Vec<Observation>> = BTreeMap::new();
        for mut observation in unhandled.observations {
            match observation.observed.take() {
                Some(json) => {
                    let observed = serde_json::from_value(json).map_err(|error| {
                        tracing::error!(charge = %id, key = observation.dedupe_key, %error, "a stored observation is unreadable: the gateway is asked instead");
                    });
                    evidence.proved.push((observation, observed.ok()));
                }
                None => hints
                    .entry(observation.attempt)
                    .or_default()
                    .push(observation),
            }
        }
        if hints.is_empty() && !late {
            return Ok(evidence);
        }
        let rows = attempts::of_charge(&mut db, id).await?;
        evidence.recorded = reversal::recorded_payments(&mut db, id).await?;
        drop(db);
        let late = rows.iter().filter(|row| {
            let ended = matches!(row.state, AttemptState::Voided | AttemptState::Absent);
            late && ended && !hints.contains_key(&row.id)
        });
        let late: Vec<_> = late.map(|row| (row.clone(), Vec::new())).collect();
        let hints = hints.into_iter().filter_map(|(attempt, observations)| {
            let row = rows.iter().find(|row| row.id == attempt)?;
            Some((row.clone(), observations))
        });
        evidence.hints = self.read_all(hints.collect()).await?;
        evidence.late = self.read_all(late).await?;
        Ok(evidence)
    }

    async fn read_all(
        &self,
        about: Vec<(attempts::AttemptRow, Vec<Observation>)>,
    ) -> Result<Vec<GatewayRead>, StoreError> {
        let started = outside::instant();
        let mut asking = stream::iter(about)
            .map(|(row, observations)| self.read_one(row, observations, started).boxed())
            .buffered(READS_AT_A_TIME);
        let mut asked = Vec::new();
        while let Some(answer) = asking.next().await {
            asked.push(answer?);
        }
        Ok(asked)
    }

    async fn read_one(
        &self,
        row: attempts::AttemptRow,
        observations: Vec<Observation>,
        started: Stopwatch,
    ) -> Result<GatewayRead, StoreError> {
        let found = if outside::instant() - started < READ_WITHIN {
            self.read_gateway(&row).await?
        } else {
            None
        };
        Ok(GatewayRead {
            attempt: row.id,
            observations,
            found,
        })
    }

    /// Returns the objects that the gateway has under the attempt's reference; `None` if it did not answer.
    async fn read_gateway(
        &self,
        row: &attempts::AttemptRow,
    ) -> Result<Option<Vec<GatewayCharge>>, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let (gateway, order) = self.reopen(&mut db, row).await?;
        drop(db);
        match gateway.find(&order).await {
            Ok(found) => {
                if found.is_empty() && row.state == AttemptState::Presented {
                    metrics::counter!("presented_not_found_total", "gateway" => row.gateway.to_string()).increment(1);
                    tracing::error!(attempt = %row.id, gateway = %row.gateway, "the gateway knows nothing of a presented instrument");
                }
                Ok(Some(found))
            }
            Err(error) => {
                tracing::warn!(attempt = %row.id, gateway = %row.gateway, %error, "could not ask");
                Ok(None)
            }
        }
    }

    /// Returns the next step, its time, and the number of checks. A cancel and an expiry take precedence over unconfirmed hints.
    fn next(&self, charge: &LockedCharge, unanswered: bool) -> (Step, Option<Instant>, i32) {
        let at_of = |pause| Some(charge.now + delta(pause));
        // an attempt of which nothing was sent belongs to the next worker
        let mut open = charge.attempts.iter();
        let open = open.find(|row| row.state == AttemptState::Open && row.lease_owner.is_some());
        match (charge.status, open) {
            (ChargeStatus::Processing, Some(open)) => {
                let left = until(open.lease_expires_at, charge.now);
                let pause = left.clamp(Duration::from_secs(1), WAITING);
                (Step::attempt_after(pause), at_of(pause), charge.checks)
            }
            (ChargeStatus::Processing, None) => (Step::ATTEMPT, at_of(WAITING), charge.checks),
            (status, _) if status.is_payable() && charge.cancel_requested_at.is_some() => {
                (Step::Cancel, charge.next_check_at, charge.checks)
            }
            (status, _) if status.is_payable() && charge.expires_at <= charge.now => {
                (Step::Expire, charge.next_check_at, charge.checks)
            }
            (ChargeStatus::Expired | ChargeStatus::Canceled, _)
                if unanswered && !is_long_over(charge) =>
            {
                let pause = LATE_AGAIN + jitter(charge.id.uuid(), LATE_AGAIN / 4);
                (Step::check_after(pause), at_of(pause), charge.checks)
            }
            _ if unanswered && !is_long_over(charge) => {
                let n = u32::try_from(charge.checks).unwrap_or(u32::MAX);
                let pause = READ_AGAIN.spread(n, charge.id.uuid());
                let turn = charge
                    .status
                    .is_payable()
                    .then(|| next_scheduled_check(charge));
                let pause = turn.map_or(pause, |at| pause.min(until(at, charge.now)));
                (
                    Step::check_after(pause),
                    at_of(pause),
                    charge.checks.saturating_add(1),
                )
            }
            (status, _) if status.is_payable() => {
                let at = next_scheduled_check(charge);
                (Step::check_after(until(at, charge.now)), Some(at), 0)
            }
            (ChargeStatus::Expired | ChargeStatus::Canceled, _) => self.late_check(charge),
            _ => (Step::Done, None, 0),
        }
    }

    /// Schedules the next check of an expired or canceled charge: late payments are possible.
    fn late_check(&self, charge: &LockedCharge) -> (Step, Option<Instant>, i32) {
        if let Some(at) = boleto_confirmation_deadline(charge) {
            return (
                Step::check_after(until(at, charge.now)),
                Some(at),
                charge.checks,
            );
        }
        let due = charge.next_check_at.is_some_and(|at| at <= charge.now);
        let done = usize::try_from(charge.checks)
            .unwrap_or(usize::MAX)
            .saturating_add(usize::from(due));
        match (charge.next_check_at, self.timing.late_checks.get(done)) {
            (Some(at), _) if !due => (
                Step::check_after(until(at, charge.now)),
                Some(at),
                charge.checks,
            ),
            (Some(_), Some(pause)) => {
                let checks = i32::try_from(done).unwrap_or(i32::MAX);
                (
                    Step::check_after(*pause),
                    Some(charge.now + delta(*pause)),
                    checks,
                )
            }
            _ => (Step::Done, None, 0),
        }
    }
}

/// Returns true once an ended charge is no longer read at a gateway that does not answer.
fn is_long_over(charge: &LockedCharge) -> bool {
    let ended = charge.cancel_requested_at.unwrap_or(charge.expires_at);
    ended.min(charge.expires_at) + delta(LATE_FOR) <= charge.now
}

/// Gives up a hint that the gateway never confirmed, and alerts the merchant.
async fn give_up(
    db: &mut PgConnection,
    charge: &LockedCharge,
    observation: &Observation,
) -> Result<Vec<PendingDelivery>, StoreError> {
    tracing::error!(charge = %charge.id, connection = %observation.connection, event = observation.event, "the gateway does not confirm a notification");
    let message = format!(
        "a notification about the charge {} is not confirmed by the gateway: check that only the gateway knows the notification address",
        charge.id
    );
    alerts::raise(
        db,
        observation.connection,
        "notification_unconfirmed",
        &message,
    )
    .await
}
