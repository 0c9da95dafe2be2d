//! Sweep of overdue rows of all kinds. It starts their workflows, or wakes those that run, and processes rows that stay overdue itself. A
//! row that fails is postponed with its reason, and the others continue.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, future, stream};
use schemas::{id::ChargeId, retry::jitter};
use store::{
    StoreError,
    events::order,
    notifications::unmatched::{self, UnmatchedNotification},
    sweep::{self, Overdue, SweepKind, SweepMark, SweepPage, SweepTarget},
};
use strum::IntoEnumIterator;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::sync::Semaphore;

use crate::retry::sweep::{
    AWAY_PAUSE, BEGIN_WITHIN, FORGET_AFTER, LONGEST_PAUSE, ROW_WITHIN, UNMATCHED_AGAIN, WAKE_TIMES,
};
use crate::{Activities, PollStep, Progress, Started, Step, Subject, delta, heartbeat::heartbeats};
use lanes::Lanes;

mod lanes;

/// Maximum number of rows of a kind that are read to be started or woken.
const WAKE_PAGE: i64 = 1_000;
/// Number of running workflows of one kind that are woken concurrently: one that does not answer takes two seconds.
const WAKES: usize = 32;
/// Maximum number of rows of a kind that are read to be processed by the sweep itself.
const WORK_PAGE: i64 = 128;
/// Number of rows of one kind that the sweep processes concurrently: each may wait for a gateway that does not answer.
const ROWS_AT_A_TIME: usize = 32;
/// Number of merchants whose events receive positions in one page.
const MERCHANTS: i64 = 200;
/// Maximum length of a reason, in characters; longer ones are cut.
const REASON_CHARS: usize = 200;

/// Activity of the schedule that sweeps.
pub struct SweepActivities(pub Arc<Activities>);

#[activities]
impl SweepActivities {
    /// Wakes the workflows of overdue rows and processes rows that stay overdue.
    #[activity(name = "sweep")]
    pub async fn sweep(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: (),
    ) -> Result<(), ActivityError> {
        tokio::select! {
            swept = Box::pin(self.0.sweep_once()) => Ok(swept?),
            // another sweep has replaced this one and processes the rows that this one has not marked
            () = ctx.cancelled() => Ok(()),
            never = heartbeats(&ctx) => never,
        }
    }
}

/// One sweep.
struct Run {
    until: Instant,
    lanes: Lanes,
    wakes: Semaphore,
}

impl Run {
    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

impl Activities {
    /// Starts, wakes or processes all overdue rows, until none is left or the time is over.
    pub async fn sweep_once(&self) -> Result<(), StoreError> {
        // Temporal starts the sweep
        self.starter.temporal_is_up();
        let run = Run {
            until: Instant::now() + BEGIN_WITHIN,
            lanes: Lanes::default(),
            wakes: Semaphore::new(WAKES),
        };
        let waking = SweepKind::iter()
            .filter(|kind| has_workflow(*kind))
            .map(|kind| self.wake_overdue(kind, &run));
        let working = SweepKind::iter().map(|kind| Box::pin(self.work_on_overdue(kind, &run)));
        let (woken, worked, positions, marks, rotations, unmatched) = tokio::join!(
            future::join_all(waking),
            future::join_all(working),
            self.give_positions(&run),
            self.forget_marks(),
            Box::pin(self.finish_rotations()),
            Box::pin(self.delete_unmatched_notifications()),
        );
        // each one went as far as it could: an error of one has not stopped the others
        let outcomes = woken.into_iter().chain(worked);
        outcomes
            .chain([positions, marks, rotations, unmatched])
            .collect()
    }

    /// Starts or wakes the workflows of one kind's rows.
    async fn wake_overdue(&self, kind: SweepKind, run: &Run) -> Result<(), StoreError> {
        let wanted = SweepPage {
            grace: delta(self.timing.sweep_grace),
            tries: (0, WAKE_TIMES - 1),
            limit: WAKE_PAGE,
        };
        while !run.is_over() {
            let rows = self.overdue(kind, wanted).await?;
            let found = rows.len();
            let mut marks: Vec<_> = stream::iter(rows)
                .map(|row| self.wake(row, run))
                .buffer_unordered(lanes::MOST + WAKES)
                .filter_map(future::ready)
                .collect()
                .await;
            let away = marks.iter().filter(|mark| mark.reason == AWAY).count();
            let is_away = away * 2 > found;
            if !is_away {
                // Temporal answered for most rows: only these starts fail, and their rows must not wait for them indefinitely
                let failed = marks.iter_mut().filter(|mark| mark.reason == AWAY);
                failed.for_each(|mark| mark.tries = mark.tries.saturating_add(1));
            }
            self.mark(kind, &marks).await?;
            if i64::try_from(found).is_ok_and(|found| found < WAKE_PAGE) || is_away {
                break;
            }
        }
        Ok(())
    }

    /// Starts or wakes the workflow of one row. `None` if the time was over before its turn.
    async fn wake(&self, row: Overdue, run: &Run) -> Option<SweepMark> {
        let subject = subject(&row)?;
        let lane = run.lanes.enter().await;
        if run.is_over() {
            return None;
        }
        let started = self.starter.start(subject).await;
        lane.leave(started);
        Some(match started {
            Started::Now => self.checked(row, "started"),
            Started::Away => SweepMark {
                tries: row.tries,
                pause: delta(AWAY_PAUSE.min(self.timing.sweep_grace)),
                ..self.checked(row, AWAY)
            },
            Started::Refused(why) => {
                metrics::counter!("sweep_starts_refused_total", "why" => why).increment(1);
                self.checked(row, &format!("the start was refused: {why}"))
            }
            Started::AlreadyRuns => {
                let _permit = run.wakes.acquire().await;
                let woken = self.starter.wake(subject).await;
                self.checked(row, if woken { "woken" } else { "does not answer" })
            }
        })
    }

    /// Processes the rows of one kind that their workflows did not move.
    async fn work_on_overdue(&self, kind: SweepKind, run: &Run) -> Result<(), StoreError> {
        let (grace, from) = if has_workflow(kind) {
            (self.timing.sweep_grace, WAKE_TIMES)
        } else {
            (Duration::ZERO, 0)
        };
        let wanted = SweepPage {
            grace: delta(grace),
            tries: (from, i32::MAX),
            limit: WORK_PAGE,
        };
        while !run.is_over() {
            let rows = self.overdue(kind, wanted).await?;
            let found = rows.len();
            let marks: Vec<_> = stream::iter(rows)
                .map(|row| self.work_on(kind, row))
                .buffer_unordered(ROWS_AT_A_TIME)
                .collect()
                .await;
            self.mark(kind, &marks).await?;
            if i64::try_from(found).is_ok_and(|found| found < WORK_PAGE) {
                break;
            }
        }
        Ok(())
    }

    async fn work_on(&self, kind: SweepKind, row: Overdue) -> SweepMark {
        let step = tokio::time::timeout(ROW_WITHIN, Box::pin(self.take_step(&row)));
        let reason = match step.await {
            Ok(Ok(())) => "worked on".to_owned(),
            Ok(Err(error)) => error.to_string().chars().take(REASON_CHARS).collect(),
            Err(_) => "takes too long".to_owned(),
        };
        if reason != "worked on" {
            metrics::counter!("sweep_failures_total", "kind" => kind.as_ref().to_owned())
                .increment(1);
            tracing::error!(kind = kind.as_ref(), key = row.key, merchant = %row.merchant, reason, "an overdue row is postponed");
        }
        self.checked(row, &reason)
    }

    async fn take_step(&self, row: &Overdue) -> Result<(), StoreError> {
        match &row.target {
            SweepTarget::Charge(charge) => {
                let _: Progress = self.advance(*charge).await?;
            }
            SweepTarget::Orphan(_, attempt) => {
                let _: Progress<PollStep> = Box::pin(self.resolve_orphan(*attempt)).await?;
            }
            SweepTarget::Refund(_, refund) => {
                let _: Progress<PollStep> = Box::pin(self.refund_once(*refund)).await?;
            }
            SweepTarget::Delivery(due) => {
                let _: PollStep = Box::pin(self.deliver_once(due.delivery)).await?;
            }
            SweepTarget::Endpoint(endpoint) => {
                let _: PollStep = Box::pin(self.check_endpoint(*endpoint)).await?;
            }
            SweepTarget::Token(token) => Box::pin(self.fetch_token(token)).await?,
            SweepTarget::Unmatched(unmatched) => self.match_again(row, unmatched).await?,
        }
        Ok(())
    }

    async fn match_again(
        &self,
        row: &Overdue,
        unmatched: &UnmatchedNotification,
    ) -> Result<(), StoreError> {
        let checks = usize::try_from(unmatched.checks).unwrap_or(usize::MAX);
        let pause = UNMATCHED_AGAIN.get(checks).copied();
        let again = pause.map(|pause| delta(pause + jitter(row.seed, pause / 2)));
        // One transaction: the lock on the payer outlives the statement that takes it.
        let mut tx = self.store.begin().await?;
        let matched = unmatched::match_again(&mut tx, unmatched, again).await?;
        tx.commit().await?;
        match matched {
            Some(charge) => self.wake_charge(row.merchant, charge).await,
            None if again.is_none() => {
                tracing::error!(connection = %unmatched.connection, reference = unmatched.reference, "a notification's reference is ours by its shape, and unknown");
            }
            None => {}
        }
        Ok(())
    }

    async fn overdue(&self, kind: SweepKind, page: SweepPage) -> Result<Vec<Overdue>, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        sweep::page(&mut db, kind, page).await
    }

    async fn mark(&self, kind: SweepKind, marks: &[SweepMark]) -> Result<(), StoreError> {
        if marks.is_empty() {
            return Ok(());
        }
        tracing::info!(
            kind = kind.as_ref(),
            rows = marks.len(),
            "swept overdue rows"
        );
        metrics::counter!("sweep_rows_total", "kind" => kind.as_ref().to_owned())
            .increment(u64::try_from(marks.len()).unwrap_or(u64::MAX));
        let mut db = self.store.pool.acquire().await?;
        sweep::mark(&mut db, kind, marks).await
    }

    /// Returns the new mark of a processed row.
    fn checked(&self, row: Overdue, reason: &str) -> SweepMark {
        let doublings = u32::try_from(row.tries).unwrap_or(u32::MAX).min(16);
        let pause = (self.timing.sweep_grace * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
        SweepMark {
            pause: delta(pause + jitter(row.seed, pause / 2)),
            key: row.key,
            merchant: row.merchant,
            due_at: row.due_at,
            tries: row.tries.saturating_add(1),
            reason: reason.to_owned(),
        }
    }

    /// Assigns positions to the events of merchants who do not list them, one page per merchant.
    async fn give_positions(&self, run: &Run) -> Result<(), StoreError> {
        while !run.is_over() {
            let mut db = self.store.pool.acquire().await?;
            let waiting = order::waiting(&mut db, MERCHANTS).await?;
            drop(db);
            if waiting.is_empty() {
                break;
            }
            for (merchant, mode) in waiting {
                order::assign_page(&self.store, merchant, mode).await?;
            }
        }
        Ok(())
    }

    async fn forget_marks(&self) -> Result<(), StoreError> {
        let mut db = self.store.pool.acquire().await?;
        sweep::forget_marks(&mut db, delta(FORGET_AFTER)).await?;
        Ok(())
    }

    /// Takes one step with a charge, without its workflow.
    pub async fn advance(&self, charge: ChargeId) -> Result<Progress, StoreError> {
        let tried = Box::pin(self.attempt_charge(charge)).await?;
        let Step::Sync { .. } = tried.step else {
            return Ok(tried);
        };
        let synced = Box::pin(self.sync_charge(charge)).await?;
        match synced.step {
            Step::Cancel | Step::Expire => Box::pin(self.end_charge(charge)).await,
            _ => Ok(synced),
        }
    }
}

/// Reason of a row whose workflow could not be started.
const AWAY: &str = "Temporal did not answer";

/// Returns true if workflows move the rows of that kind.
fn has_workflow(kind: SweepKind) -> bool {
    !matches!(kind, SweepKind::Token | SweepKind::Unmatched)
}

fn subject(row: &Overdue) -> Option<Subject> {
    let merchant = row.merchant;
    match &row.target {
        SweepTarget::Charge(charge) => Some(Subject::charge(merchant, *charge)),
        SweepTarget::Orphan(charge, attempt) => Some(Subject::orphan(merchant, *charge, *attempt)),
        SweepTarget::Refund(charge, refund) => Some(Subject::refund(merchant, *charge, *refund)),
        SweepTarget::Delivery(due) => Some(Subject::Delivery(*due)),
        SweepTarget::Endpoint(endpoint) => Some(Subject::endpoint(merchant, *endpoint)),
        SweepTarget::Token(_) | SweepTarget::Unmatched(_) => None,
    }
}
