//! Points at which a worker may be stopped: before it uses a database connection, and before and after each call to a gateway. A task that
//! reaches a border waits there for the scheduler; so does a task that waits for a time.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

/// Id of a task of the scheduler.
pub(super) type TaskId = u64;

/// Reason for which a task waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Border {
    /// Use of a database connection: it is acquired already, and used once the task is granted its ticket.
    Database,
    /// A call to a gateway, or its answer.
    Call(String),
    /// A time.
    Time(DateTime<Utc>),
}

pub(super) struct Ticket {
    pub task: TaskId,
    pub border: Border,
    granted: bool,
    waker: Option<Waker>,
}

/// State that all parts of a run share. There is one thread: the lock is never held across an await.
pub(super) struct Shared {
    pub now: DateTime<Utc>,
    /// True if the database's clock is behind.
    pub clock_moved: bool,
    pub rng: StdRng,
    /// Task whose future is being polled.
    pub current: Option<TaskId>,
    pub tickets: BTreeMap<u64, Ticket>,
    /// Number of tickets taken so far.
    pub taken: u64,
    pub trace: Vec<String>,
    pub began: DateTime<Utc>,
    ids: u64,
    seed: u64,
    pub keeps_trace: bool,
    /// Number of statements that ended.
    pub statements: u64,
    pub violations: Vec<(u8, String)>,
    /// Invariants that are not checked.
    pub skipped: Vec<u8>,
}

#[derive(Clone)]
pub(super) struct Borders(Arc<Mutex<Shared>>);

impl Borders {
    pub(super) fn new(seed: u64, now: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            now,
            clock_moved: true,
            rng: StdRng::seed_from_u64(seed),
            current: None,
            tickets: BTreeMap::new(),
            taken: 0,
            trace: Vec::new(),
            began: now,
            ids: 0,
            seed,
            keeps_trace: true,
            statements: 0,
            violations: Vec::new(),
            skipped: Vec::new(),
        })))
    }

    /// Starts another run.
    pub(super) fn begin(&self, seed: u64, now: DateTime<Utc>) {
        let mut shared = self.lock();
        shared.now = now;
        shared.began = now;
        shared.clock_moved = true;
        shared.rng = StdRng::seed_from_u64(seed);
        shared.trace.clear();
        shared.violations.clear();
        shared.ids = 0;
        shared.seed = seed;
        shared.taken = 0;
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.lock().now
    }

    pub(super) fn advance(&self, by: TimeDelta) {
        let mut shared = self.lock();
        shared.now += by;
        shared.clock_moved = true;
    }

    pub(super) fn set_now(&self, now: DateTime<Utc>) {
        let mut shared = self.lock();
        if now > shared.now {
            shared.now = now;
            shared.clock_moved = true;
        }
    }

    /// Returns a number from 0 to below `limit`.
    pub(super) fn draw(&self, limit: u64) -> u64 {
        self.lock().rng.random_range(0..limit.max(1))
    }

    /// Returns true in `per_mille` of a thousand cases.
    pub(super) fn chance(&self, per_mille: u64) -> bool {
        self.draw(1000) < per_mille
    }

    pub(super) fn pick<'a, T>(&self, all: &'a [T]) -> Option<&'a T> {
        let at = self.draw(u64::try_from(all.len()).unwrap_or(1));
        all.get(usize::try_from(at).unwrap_or(0))
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        let mut shared = self.lock();
        if shared.keeps_trace {
            let at = (shared.now - shared.began).num_milliseconds();
            let line = format!("+{}.{:03} {}", at / 1000, at % 1000, what());
            shared.trace.push(line);
        }
    }

    /// Records that an invariant of `docs/ARCHITECTURE.md#invariants` does not hold.
    pub(super) fn violated(&self, invariant: u8, what: String) {
        if self.lock().skipped.contains(&invariant) {
            return;
        }
        self.note(|| format!("VIOLATION of invariant {invariant}: {what}"));
        self.lock().violations.push((invariant, what));
    }

    /// Waits at a border, if a task of the scheduler is running.
    pub(super) fn wait(&self, border: Border) -> Waiting {
        Waiting {
            borders: self.clone(),
            border,
            ticket: None,
            done: false,
        }
    }

    /// Grants a ticket: its task may continue.
    pub(super) fn grant(&self, ticket: u64) {
        let mut shared = self.lock();
        if let Some(ticket) = shared.tickets.get_mut(&ticket) {
            ticket.granted = true;
            if let Some(waker) = ticket.waker.take() {
                waker.wake();
            }
        }
    }

    /// Returns an id for a new row: sortable, and the same for the same seed.
    pub(super) fn id(&self) -> Uuid {
        let mut shared = self.lock();
        shared.ids += 1;
        let ms = u128::try_from(shared.now.timestamp_millis()).unwrap_or_default();
        let (seed, n) = (
            u128::from(shared.seed & 0xffff_ffff),
            u128::from(shared.ids),
        );
        Uuid::from_u128(
            (ms << 80)
                | (7 << 76)
                | ((n & 0xfff) << 64)
                | (2 << 62)
                | (seed << 24)
                | (n & 0xff_ffff),
        )
    }
}

/// Returns the part of an id that is unique within a run.
pub(super) fn short(id: Uuid) -> String {
    format!("{:x}", id.as_u128() & 0xff_ffff)
}

/// Future of [`Borders::wait`].
pub(super) struct Waiting {
    borders: Borders,
    border: Border,
    ticket: Option<u64>,
    done: bool,
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut shared = this.borders.lock();
        if this.done {
            return Poll::Ready(());
        }
        let Some(id) = this.ticket else {
            let Some(task) = shared.current else {
                this.done = true;
                return Poll::Ready(());
            };
            shared.taken += 1;
            let id = shared.taken;
            shared.tickets.insert(
                id,
                Ticket {
                    task,
                    border: this.border.clone(),
                    granted: false,
                    waker: Some(context.waker().clone()),
                },
            );
            this.ticket = Some(id);
            return Poll::Pending;
        };
        match shared.tickets.get_mut(&id) {
            Some(ticket) if !ticket.granted => {
                ticket.waker = Some(context.waker().clone());
                Poll::Pending
            }
            _ => {
                shared.tickets.remove(&id);
                this.ticket = None;
                this.done = true;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(id) = self.ticket {
            self.borders.lock().tickets.remove(&id);
        }
    }
}

/// Source of ids and randomness for the product.
pub(super) struct Seeded(pub Borders);

impl store::chance::Chance for Seeded {
    fn id(&mut self) -> Uuid {
        self.0.id()
    }

    fn up_to(&mut self, limit: u64) -> u64 {
        self.0.draw(limit.saturating_add(1))
    }
}
