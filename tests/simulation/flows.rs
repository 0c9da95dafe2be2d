//! Workflows without Temporal: the order of steps of `workflows/src/*.rs`, with times instead of timers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use activities::{DeliveryStep, Pace, Progress, Starter, Step};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use schemas::id::{AttemptId, ChargeId, EndpointId, MerchantId, RefundId};
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

    /// Applies a step as `workflows/src/charge.rs`, `orphan.rs` and `refund.rs` do.
    pub(super) fn stepped(&mut self, kind: Kind, done: Progress, now: DateTime<Utc>) {
        self.errors = 0;
        let (pause_ms, pace_ms) = (done.step.pause_ms(), self.pace.wait_ms(done));
        match (kind, done.step) {
            (_, Step::Done) if self.woken && kind == Kind::Charge => self.wait(now, 0, Call::Sync),
            (_, Step::Done) if self.woken => self.wait(now, 0, first(kind)),
            (_, Step::Done) => self.at = At::Closed,
            (Kind::Charge, step) => {
                let next = match step {
                    Step::Attempt { .. } => Call::Attempt,
                    Step::Sync { .. } | Step::Done => Call::Sync,
                    Step::Cancel | Step::Expire => Call::End,
                };
                self.wait(now, pause_ms + pace_ms, next);
            }
            _ => self.wait(now, pause_ms.max(pace_ms), first(kind)),
        }
    }

    /// Applies a step as `workflows/src/delivery.rs` and `endpoint.rs` do.
    pub(super) fn delivered(&mut self, kind: Kind, step: DeliveryStep, now: DateTime<Utc>) {
        self.errors = 0;
        match step {
            DeliveryStep::Again { after_ms } => self.wait(now, after_ms, first(kind)),
            DeliveryStep::Done if self.woken => self.wait(now, 0, first(kind)),
            DeliveryStep::Done => self.at = At::Closed,
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

    fn start_orphan(&self, _: MerchantId, _: ChargeId, attempt: AttemptId) {
        self.ask((Kind::Orphan, attempt.uuid()));
    }

    async fn wake_charge(&self, _: MerchantId, charge: ChargeId) {
        self.ask((Kind::Charge, charge.uuid()));
    }

    async fn wake_refund(&self, _: MerchantId, _: ChargeId, refund: RefundId) {
        self.ask((Kind::Refund, refund.uuid()));
    }

    async fn wake_delivery(&self, due: PendingDelivery) {
        self.ask((Kind::Delivery, due.delivery.uuid()));
    }

    async fn wake_endpoint(&self, _: MerchantId, endpoint: EndpointId) {
        self.ask((Kind::Endpoint, endpoint.uuid()));
    }

    async fn wake_orphan(&self, _: MerchantId, _: ChargeId, attempt: AttemptId) {
        self.ask((Kind::Orphan, attempt.uuid()));
    }
}
