#![doc = include_str!("../README.md")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use schemas::{
    id::{AttemptId, ChargeId, EndpointId, MerchantId, RefundId},
    retry::{Backoff, DeliverySchedule},
};
use store::{Store, deliveries::PendingDelivery};

pub mod accepted;
pub mod alerts;
pub mod bulkhead;
pub mod charge;
pub mod clients;
pub mod connection;
pub mod delivery;
pub mod fair;
pub mod notifications;
pub mod operations;
pub mod orphan;
pub mod partitions;
pub mod polling;
pub mod refund;
pub mod registration;
pub mod relay;
pub mod step;
pub mod sweep;
pub mod temporal;

use accepted::Accepted;
use bulkhead::Bulkhead;
use clients::GatewayClients;
pub use step::{DeliveryStep, Pace, Progress, Step};
pub use temporal::TemporalActivities;

/// What a workflow serves.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    Charge(MerchantId, ChargeId),
    /// An attempt that was left behind.
    Orphan(MerchantId, ChargeId, AttemptId),
    Refund(MerchantId, ChargeId, RefundId),
    Delivery(PendingDelivery),
    Endpoint(MerchantId, EndpointId),
}

/// What came of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    Now,
    AlreadyRuns,
    /// Temporal did not answer.
    Away,
    /// Temporal answered, and refused this start: for that reason.
    Refused(&'static str),
}

/// Starts and wakes workflows; handed in by `workflows`.
#[async_trait]
pub trait Starter: Send + Sync {
    /// Temporal has just been heard from: whoever took it for away may ask it again.
    fn temporal_is_up(&self);
    /// Starts the workflows of committed deliveries; returns at once.
    fn start_deliveries(&self, due: Vec<PendingDelivery>);
    /// Starts the workflow that closes an abandoned attempt; returns at once.
    fn start_orphan(&self, merchant: MerchantId, charge: ChargeId, attempt: AttemptId);
    /// Starts the workflow of an overdue row. By default that is left to `wake`.
    async fn start(&self, _subject: Subject) -> Started {
        Started::AlreadyRuns
    }
    /// Wakes the workflow of an overdue row; `false` if it does not answer.
    async fn wake(&self, subject: Subject) -> bool {
        match subject {
            Subject::Charge(merchant, charge) => self.wake_charge(merchant, charge).await,
            Subject::Orphan(merchant, charge, attempt) => {
                self.wake_orphan(merchant, charge, attempt).await;
            }
            Subject::Refund(merchant, charge, refund) => {
                self.wake_refund(merchant, charge, refund).await;
            }
            Subject::Delivery(due) => self.wake_delivery(due).await,
            Subject::Endpoint(merchant, endpoint) => self.wake_endpoint(merchant, endpoint).await,
        }
        true
    }
    /// Makes a charge's workflow look at its row; starts it if it is closed or unknown.
    async fn wake_charge(&self, merchant: MerchantId, charge: ChargeId);
    /// The same for a refund's.
    async fn wake_refund(&self, merchant: MerchantId, charge: ChargeId, refund: RefundId);
    /// The same for a delivery's.
    async fn wake_delivery(&self, due: PendingDelivery);
    /// Makes an endpoint's workflow check its row; starts it if it is closed or unknown.
    async fn wake_endpoint(&self, merchant: MerchantId, endpoint: EndpointId);
    /// The same for an abandoned attempt's.
    async fn wake_orphan(&self, merchant: MerchantId, charge: ChargeId, attempt: AttemptId);
}

/// Times and limits; tests shrink them.
#[derive(Clone, Debug)]
pub struct Timing {
    /// A call to a gateway while another route remains.
    pub call: Duration,
    /// A call to the last gateway left.
    pub last_call: Duration,
    /// How long a local activity waits for its attempt: less than 80 % of its workflow task's time-out, which would cost a
    /// heartbeat. Measured on Temporal's dev server: a charge costs it 22 ms of CPU, one whose call takes 8 s costs 35 ms with
    /// heartbeats and 38 ms if it goes on by itself; but each heartbeat repeats every 2.4 s (4.4 ms), and one that waits in its
    /// task keeps a slot from the charges of healthy gateways.
    pub activity: Duration,
    /// How soon the workflow comes back to an attempt that went on without it: bounds the time that a charge stands still when
    /// its process died meanwhile.
    pub activity_returns: Duration,
    /// For searching after an unknown outcome, within the same attempt.
    pub resolve: Duration,
    /// Between rounds of gateways that all definitely failed.
    pub rounds: Backoff,
    /// How long a charge's caller waits for the outcome.
    pub answer_within: Duration,
    /// When an expired or canceled charge is looked at again for late money.
    pub late_checks: Vec<Duration>,
    /// When an abandoned attempt is looked for, counted from one search to the next; the last one repeats.
    pub orphan_searches: Vec<Duration>,
    /// How long after its deadline an abandoned attempt is searched for in vain before the merchant is alerted.
    pub absent_after: Duration,
    /// How long the gateway may leave the searches for an abandoned attempt unanswered before the merchant is alerted.
    pub review_after: Duration,
    pub delivery: DeliverySchedule,
    /// How long a merchant's server may take.
    pub delivery_call: Duration,
    pub pause: PauseTiming,
    /// How long a boleto waits for an earlier attempt of unknown outcome before the next gateway is tried.
    pub hold_boleto: Duration,
    /// Between looks at a refund that has not ended.
    pub refund_again: Backoff,
    /// How long the outcome of a refund may be unknown before a person must look.
    pub refund_review_after: Duration,
    /// How often a connection's lists at its gateway are read.
    pub poll_every: Duration,
    /// Percent of the time that each request of a list stands for (`Feed::pace`): 100 keeps the gateways' quotas.
    pub poll_pace: u32,
    /// How often our set-up at a gateway is looked after.
    pub check_every: Duration,
    /// How overdue a row must be before the sweep wakes its workflow.
    pub sweep_grace: Duration,
}

/// When an endpoint is paused and tried again.
#[derive(Clone, Copy, Debug)]
pub struct PauseTiming {
    pub failures: i32,
    pub over: Duration,
    pub probe_every: Duration,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

impl Default for Timing {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            call: s(8),
            last_call: s(20),
            activity: s(2),
            activity_returns: s(10),
            resolve: s(3),
            rounds: Backoff {
                initial_ms: 500,
                factor: 2,
                max_ms: 30_000,
            },
            answer_within: s(15),
            late_checks: vec![s(2 * MINUTE), s(HOUR), s(DAY)],
            orphan_searches: vec![
                s(5),
                s(30),
                s(2 * MINUTE),
                s(10 * MINUTE),
                s(HOUR),
                s(4 * HOUR),
            ],
            absent_after: s(DAY),
            review_after: s(3 * DAY),
            delivery: DeliverySchedule::default(),
            delivery_call: s(15),
            pause: PauseTiming {
                failures: 20,
                over: s(5 * MINUTE),
                probe_every: s(10 * MINUTE),
            },
            hold_boleto: s(MINUTE),
            refund_again: Backoff {
                initial_ms: 2_000,
                factor: 2,
                max_ms: 3_600_000,
            },
            refund_review_after: s(DAY),
            poll_every: s(5 * MINUTE),
            poll_pace: 100,
            check_every: s(HOUR),
            sweep_grace: s(MINUTE),
        }
    }
}

/// What the activities work with.
pub struct Activities {
    pub store: Store,
    pub clients: GatewayClients,
    pub bulkhead: Bulkhead,
    pub accepted: Accepted,
    pub detached: charge::detached::Detached,
    pub webhook_sender: delivery::WebhookSender,
    pub starter: Arc<dyn Starter>,
    pub timing: Timing,
}

/// A length of time as whole milliseconds.
pub(crate) fn ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// A length of time as the database counts it.
pub(crate) fn delta(length: Duration) -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(length).unwrap_or(chrono::TimeDelta::MAX)
}

/// From `now` until `then`; nothing if that has passed.
pub(crate) fn until(then: schemas::Instant, now: schemas::Instant) -> Duration {
    (then - now).to_std().unwrap_or_default()
}
