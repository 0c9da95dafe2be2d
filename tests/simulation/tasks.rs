//! Tasks: futures that are polled one at a time, from border to border, and may be dropped at any of them.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use activities::{PollStep, Progress};
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use store::StoreError;

use super::{
    actors::Asked,
    borders::{Border, Borders, TaskId},
    database::Database,
    flows::Key,
};

/// Result of a task.
pub(super) enum TaskOutcome {
    Step(Result<Progress, StoreError>),
    Poll(Result<Progress<PollStep>, StoreError>),
    Asked(Result<Asked, StoreError>),
    Received(Result<bool, StoreError>),
    Done(Result<(), StoreError>),
}

/// Owner of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Flow(Key),
    /// An activity that its workflow gave up; it still continues.
    Ghost,
    Create {
        order: usize,
        tries: u32,
    },
    Notified {
        gateway: usize,
        n: usize,
        tries: u32,
    },
    Other,
}

/// Point at which a task is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crash {
    pub border: u32,
    /// True to drop it after the border, within a transaction.
    pub within: bool,
}

pub(super) struct Task {
    pub of: Of,
    pub worker: usize,
    future: Pin<Box<dyn Future<Output = TaskOutcome>>>,
    flag: Arc<Flag>,
    pub crash: Option<Crash>,
    /// Border and number of statements after which the task yields, within a transaction.
    pub yields: Option<(u32, u64)>,
    /// True if the task yielded and may continue.
    pub gave_way: bool,
    /// Border and seconds of a pause.
    pub pause: Option<(u32, i64)>,
    pub paused_until: Option<DateTime<Utc>>,
    /// Number of borders reached.
    pub borders: u32,
    /// True if the task waits for a lock, or for something in memory that another task holds.
    pub blocked: bool,
    /// Number of connections that the task holds while it is stopped.
    pub held: usize,
}

#[derive(Default)]
struct Flag {
    woken: AtomicBool,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
    }
}

/// Reason for which a stretch ended.
pub(super) enum Stretch {
    Ended(TaskOutcome),
    Border,
    Blocked,
    Crashed,
    GaveWay,
}

impl Task {
    pub(super) fn new(
        of: Of,
        worker: usize,
        future: impl Future<Output = TaskOutcome> + 'static,
    ) -> Self {
        Self {
            of,
            worker,
            future: Box::pin(future),
            flag: Arc::default(),
            crash: None,
            yields: None,
            gave_way: false,
            pause: None,
            paused_until: None,
            borders: 0,
            blocked: false,
            held: 0,
        }
    }

    pub(super) fn is_woken(&self) -> bool {
        self.flag.woken.load(Ordering::SeqCst)
    }

    /// Waits until the task is woken (`None`), or has stopped at a border or behind a lock.
    async fn rest(
        &mut self,
        id: TaskId,
        (borders, database): (&Borders, &mut Database),
        (others, arrived): (usize, bool),
    ) -> anyhow::Result<Option<Stretch>> {
        let flag = self.flag.clone();
        database
            .quiet(|| flag.woken.load(Ordering::SeqCst))
            .await
            .with_context(|| format!("{:?}", self.of))?;
        if self.is_woken() {
            return Ok(None);
        }
        self.held = database.in_use().saturating_sub(others + parked(borders));
        self.borders += u32::from(arrived);
        self.blocked = !waits(borders, id);
        Ok(Some(if self.blocked {
            Stretch::Blocked
        } else {
            Stretch::Border
        }))
    }

    /// Runs until the next border. `others` is the number of connections that other tasks hold.
    pub(super) async fn run(
        &mut self,
        id: TaskId,
        (borders, database): (&Borders, &mut Database),
        others: usize,
    ) -> anyhow::Result<Stretch> {
        let (before, statements) = {
            let shared = borders.lock();
            (shared.taken, shared.statements)
        };
        self.gave_way = false;
        let crashes = self
            .crash
            .is_some_and(|crash| crash.within && crash.border <= self.borders);
        let waker = Waker::from(self.flag.clone());
        self.blocked = false;
        loop {
            self.flag.woken.store(false, Ordering::SeqCst);
            borders.lock().current = Some(id);
            let polled = self.future.as_mut().poll(&mut Context::from_waker(&waker));
            borders.lock().current = None;
            if let Poll::Ready(came) = polled {
                return Ok(Stretch::Ended(came));
            }
            let arrived = borders.lock().taken > before;
            if crashes && !arrived && self.borders > 0 && !self.is_woken() {
                return Ok(Stretch::Crashed);
            }
            if let Some((border, after)) = self.yields
                && border <= self.borders
                && !arrived
                && borders.lock().statements >= statements + after
            {
                self.yields = None;
                self.gave_way = true;
                self.held = database.in_use().saturating_sub(others + parked(borders));
                return Ok(Stretch::GaveWay);
            }
            let came = self
                .rest(id, (borders, database), (others, arrived))
                .await?;
            if let Some(stretch) = came {
                return Ok(stretch);
            }
        }
    }
}

/// Returns true if the task waits at a border.
fn waits(borders: &Borders, id: TaskId) -> bool {
    borders.lock().tickets.values().any(|t| t.task == id)
}

/// Returns the number of connections that wait at a border to be used.
pub(super) fn parked(borders: &Borders) -> usize {
    let shared = borders.lock();
    let database = |ticket: &&super::borders::Ticket| ticket.border == Border::Database;
    shared.tickets.values().filter(database).count()
}
