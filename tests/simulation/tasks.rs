//! Tasks: futures polled one at a time, from border to border, and dropped at any of them.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use activities::{DeliveryStep, Progress};
use chrono::{DateTime, Utc};
use store::StoreError;
use tokio::sync::Notify;

use super::{
    actors::Asked,
    borders::{Border, Borders, TaskId},
    database::Database,
    flows::Key,
};

/// After so many ticks without an answer of the database, the server is asked what its connections do.
const QUIET: u32 = 6;
/// So many times in a row it must say that they do nothing.
const STILL: u32 = 4;
/// Without anything happening for so many ticks, the harness itself is stuck.
const STUCK: u32 = 30_000;
const TICK: Duration = Duration::from_millis(1);
/// After so many, a task without a connection is believed to wait for another one.
const SURE: u32 = 20;
/// How often others are let go on (a connection on its way back to the pool) before a tick.
const YIELDS: u32 = 200;

/// What a task came to.
pub(super) enum Came {
    Step(Result<Progress, StoreError>),
    Delivery(Result<DeliveryStep, StoreError>),
    Asked(Result<Asked, StoreError>),
    Told(Result<bool, StoreError>),
    Done(Result<(), StoreError>),
}

/// Whose task it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Flow(Key),
    /// An activity that its workflow gave up: it goes on all the same.
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

/// Where a task ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crash {
    pub border: u32,
    /// In the middle of what comes after the border: within a transaction.
    pub within: bool,
}

pub(super) struct Task {
    pub of: Of,
    pub worker: usize,
    future: Pin<Box<dyn Future<Output = Came>>>,
    flag: Arc<Flag>,
    pub crash: Option<Crash>,
    /// Gives way after this border, when so many statements have ended: in the middle of a transaction.
    pub yields: Option<(u32, u64)>,
    /// It gave way, and may go on.
    pub gave_way: bool,
    /// Stands still at this border, for so many seconds.
    pub pause: Option<(u32, i64)>,
    pub paused_until: Option<DateTime<Utc>>,
    /// Borders reached.
    pub borders: u32,
    /// Waits for a lock, or for something in memory that another task holds.
    pub blocked: bool,
    /// Connections it holds while it stands.
    pub held: usize,
}

#[derive(Default)]
struct Flag {
    woken: AtomicBool,
    notify: Notify,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.notify.notify_one();
    }
}

/// How a stretch ended.
pub(super) enum Stretch {
    Ended(Came),
    Border,
    Blocked,
    Crashed,
    GaveWay,
}

impl Task {
    pub(super) fn new(of: Of, worker: usize, future: impl Future<Output = Came> + 'static) -> Self {
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

    /// Waits until the task is woken (`None`), or rests at a border or behind a lock.
    async fn rest(
        &mut self,
        id: TaskId,
        (borders, database): (&Borders, &mut Database),
        (others, arrived): (usize, bool),
    ) -> anyhow::Result<Option<Stretch>> {
        let mut still = 0;
        for n in 0..STUCK {
            if self.is_woken() {
                tokio::task::yield_now().await;
                return Ok(None);
            }
            let busy = database.in_use().saturating_sub(others + parked(borders));
            let held = if busy > 0 && n >= YIELDS && n % QUIET == 0 {
                // its connections stand still: in a transaction, or behind a lock
                let (running, waiting) = database.activity().await?;
                let busy = database.in_use().saturating_sub(others + parked(borders));
                still = if running == 0 { still + 1 } else { 0 };
                match (running, waiting) {
                    // a statement that has ended may have its answer on the way
                    _ if self.is_woken() || busy == 0 || still < STILL => None,
                    (0, _) if arrived => Some(busy),
                    // behind a lock, or behind something in memory
                    (running, waiting) if !arrived && (waiting > 0 || running == 0) => {
                        self.blocked = true;
                        Some(busy)
                    }
                    _ => None,
                }
            } else if busy == 0 && (arrived || n > SURE) {
                self.blocked = !waits(borders, id);
                Some(0)
            } else {
                None
            };
            if let Some(held) = held {
                self.held = held;
                self.borders += u32::from(arrived);
                return Ok(Some(if self.blocked {
                    Stretch::Blocked
                } else {
                    Stretch::Border
                }));
            }
            if n < YIELDS {
                tokio::task::yield_now().await;
            } else {
                let _ = tokio::time::timeout(TICK, self.flag.notify.notified()).await;
            }
        }
        anyhow::bail!("a task is stuck: {:?}", self.of)
    }

    /// Runs until the next border. `others` are the connections that other tasks hold.
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

/// Whether the task stands at a border.
fn waits(borders: &Borders, id: TaskId) -> bool {
    borders.lock().tickets.values().any(|t| t.task == id)
}

/// Connections that wait at a border to be used.
pub(super) fn parked(borders: &Borders) -> usize {
    let shared = borders.lock();
    let database = |ticket: &&super::borders::Ticket| ticket.border == Border::Database;
    shared.tickets.values().filter(database).count()
}
