//! Workflows without Temporal: the order of steps of `workflows/src/*.rs`, with times instead of timers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use activities::{Away, Pace, PollStep, Progress, Started, Starter, Step, Subject};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use store::deliveries::PendingDelivery;
use uuid::Uuid;

use super::borders::TaskId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Charge,
    Orphan,
    Refund,
    Delivery,
    Endpoint,
}

/// An activity that a workflow calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Attempt,
    Sync,
    End,
    Orphan,
    Refund,
    Deliver,
    Check,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// The next call is made at this time, or on a wake if `wakes`.
    Waits {
        until: DateTime<Utc>,
        wakes: bool,
    },
    /// This task makes the call.
    Runs(TaskId),
    Closed,
}

pub(super) type Key = (Kind, Uuid);

#[derive(Debug)]
pub(super) struct Flow {
    pub at: At,
    pub next: Call,
    pub woken: bool,
    /// Number of failures in a row.
    pub errors: u32,
    /// Number of steps since the last wait.
    pub hurried: u32,
    /// Number of these steps that changed nothing, and the rows at the last step.
    pub idle: u32,
    pub print: String,
    pace: Pace,
    is_new: bool,
}

impl Flow {
    pub(super) fn new(kind: Kind, now: DateTime<Utc>) -> Self {
        Self {
            at: At::Waits {
                until: now,
                wakes: false,
            },
            next: first(kind),
            woken: false,
            errors: 0,
            hurried: 0,
            idle: 0,
            print: String::new(),
            pace: Pace::default(),
            is_new: true,
        }
    }

    /// Returns the time at which the workflow continues without a wake.
    pub(super) fn wakes_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.at {
            At::Waits { until, wakes } => Some(if wakes && self.woken { now } else { until }),
            At::Runs(_) | At::Closed => None,
        }
    }

    fn wait(&mut self, now: DateTime<Utc>, after_ms: u64, next: Call) {
        let after = TimeDelta::milliseconds(i64::try_from(after_ms).unwrap_or(i64::MAX / 2));
        if after_ms > 0 {
            self.hurried = 0;
            self.idle = 0;
        } else {
            self.hurried += 1;
        }
        self.next = next;
        self.at = At::Waits {
            until: now + after,
            wakes: after_ms > 0,
        };
    }

    /// Applies a step as `workflows/src/charge.rs` does.
    pub(super) fn stepped(&mut self, done: Progress, now: DateTime<Utc>) {
        self.errors = 0;
        let pause_ms = done.step.pause_ms();
        let pace_ms = self.pace.wait_ms(done.changed, pause_ms);
        let next = match done.step {
            Step::Done if !self.woken => {
                self.at = At::Closed;
                return;
            }
            Step::Attempt { .. } => Call::Attempt,
            Step::Sync { .. } | Step::Done => Call::Sync,
            Step::Cancel | Step::Expire => Call::End,
        };
        self.wait(now, pause_ms + pace_ms, next);
    }

    /// Applies a step as `workflows/src/poll_loop.rs` does.
    pub(super) fn polled(&mut self, kind: Kind, done: Progress<PollStep>, now: DateTime<Utc>) {
        self.errors = 0;
        let pause_ms = done.step.pause_ms();
        match done.step {
            PollStep::Wait { .. } => {
                let pace_ms = self.pace.wait_ms(done.changed, pause_ms);
                self.wait(now, pause_ms.max(pace_ms), first(kind));
            }
            PollStep::Done if self.woken => self.wait(now, 0, first(kind)),
            PollStep::Done => self.at = At::Closed,
        }
    }

    /// Starts the workflow's activity, which consumes the wakes received so far unless it is an attempt or an end.
    pub(super) fn begins(&mut self, task: TaskId) {
        self.at = At::Runs(task);
        self.is_new = false;
        if !matches!(self.next, Call::Attempt | Call::End) {
            self.woken = false;
        }
    }

    /// Returns the next call. A charge that was woken syncs first.
    pub(super) fn call(&mut self) -> Call {
        if let At::Waits { wakes: true, .. } = self.at
            && self.woken
        {
            self.woken = false;
            if matches!(self.next, Call::Attempt | Call::End) {
                self.next = Call::Sync;
            }
        }
        self.next
    }
}

fn first(kind: Kind) -> Call {
    match kind {
        Kind::Charge => Call::Attempt,
        Kind::Orphan => Call::Orphan,
        Kind::Refund => Call::Refund,
        Kind::Delivery => Call::Deliver,
        Kind::Endpoint => Call::Check,
    }
}

/// Requests to Temporal.
#[derive(Default)]
pub(super) struct Inbox {
    pub wakes: Vec<Key>,
    /// Deliveries to start, each after its own wait.
    pub later: Vec<PendingDelivery>,
    pub away: bool,
}

#[derive(Clone, Default)]
pub(super) struct Engine(Arc<Mutex<Inbox>>);

impl Engine {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ask(&self, key: Key) {
        let mut inbox = self.lock();
        if !inbox.away {
            inbox.wakes.push(key);
        }
    }

    /// Starts or wakes the requested workflows.
    pub(super) fn serve(&self, flows: &mut BTreeMap<Key, Flow>, now: DateTime<Utc>) {
        for due in std::mem::take(&mut self.lock().later) {
            let key = (Kind::Delivery, due.delivery.uuid());
            let flow = flows.entry(key).or_insert_with(|| Flow::new(key.0, now));
            if flow.at == At::Closed || flow.is_new {
                *flow = Flow::new(key.0, now);
                flow.wait(now, due.after_ms, Call::Deliver);
                flow.is_new = false;
            }
        }
        for key in std::mem::take(&mut self.lock().wakes) {
            let flow = flows.entry(key).or_insert_with(|| Flow::new(key.0, now));
            match flow.at {
                At::Closed => *flow = Flow::new(key.0, now),
                At::Waits { .. } | At::Runs(_) => flow.woken = true,
            }
        }
    }
}

#[async_trait]
impl Starter for Engine {
    fn temporal_is_up(&self) {}

    fn start_deliveries(&self, due: Vec<PendingDelivery>) {
        let mut inbox = self.lock();
        if !inbox.away {
            inbox.later.extend(due);
        }
    }

    fn wake_later(&self, subject: Subject) {
        self.ask(key(subject));
    }

    async fn start(&self, _: Subject) -> Started {
        // the sweep then wakes it, and a wake starts it if it does not run
        Started::AlreadyRuns
    }

    async fn wake(&self, subject: Subject) -> bool {
        self.wake_or_start(subject).await.is_ok()
    }

    async fn wake_or_start(&self, subject: Subject) -> Result<(), Away> {
        self.ask(key(subject));
        if self.lock().away { Err(Away) } else { Ok(()) }
    }
}

/// Returns the key of the workflow that serves a row.
fn key(subject: Subject) -> Key {
    match subject {
        Subject::Charge(served) => (Kind::Charge, served.id.uuid()),
        Subject::Orphan(served) => (Kind::Orphan, served.id.uuid()),
        Subject::Refund(served) => (Kind::Refund, served.id.uuid()),
        Subject::Delivery(due) => (Kind::Delivery, due.delivery.uuid()),
        Subject::Endpoint(served) => (Kind::Endpoint, served.id.uuid()),
    }
}
