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
#[cfg(test)]
mod testing;

use accepted::Accepted;
use bulkhead::Bulkhead;
use clients::GatewayClients;
pub use step::{DeliveryStep, Pace, Progress, Step};
pub use temporal::TemporalActivities;

/// Row that a workflow serves.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    Charge(MerchantId, ChargeId),
    /// Attempt that was abandoned.
    Orphan(MerchantId, ChargeId, AttemptId),
    Refund(MerchantId, ChargeId, RefundId),
    Delivery(PendingDelivery),
    Endpoint(MerchantId, EndpointId),
}

/// Outcome of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    Now,
    AlreadyRuns,
    /// Temporal did not answer.
    Away,
    /// Temporal answered and refused this start, with the reason.
    Refused(&'static str),
}

/// Client that starts and wakes workflows; `workflows` implements it.
#[async_trait]
pub trait Starter: Send + Sync {
    /// Records that Temporal has just answered: callers that treat it as unavailable may call it again.
    fn temporal_is_up(&self);
    /// Starts the workflows of committed deliveries; returns at once.
    fn start_deliveries(&self, due: Vec<PendingDelivery>);
    /// Starts the workflow that resolves an abandoned attempt; returns at once.
    fn start_orphan(&self, merchant: MerchantId, charge: ChargeId, attempt: AttemptId);
    /// Starts the workflow of an overdue row. The default implementation leaves that to `wake`.
    async fn start(&self, _subject: Subject) -> Started {
        Started::AlreadyRuns
    }
    /// Wakes the workflow of an overdue row; returns false if it does not answer.
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
    /// Makes a charge's workflow check its row; starts the workflow if it is closed or unknown.
    async fn wake_charge(&self, merchant: MerchantId, charge: ChargeId);
    /// Makes a refund's workflow check its row; starts the workflow if it is closed or unknown.
    async fn wake_refund(&self, merchant: MerchantId, charge: ChargeId, refund: RefundId);
    /// Makes a delivery's workflow check its row; starts the workflow if it is closed or unknown.
    async fn wake_delivery(&self, due: PendingDelivery);
    /// Makes an endpoint's workflow check its row; starts the workflow if it is closed or unknown.
    async fn wake_endpoint(&self, merchant: MerchantId, endpoint: EndpointId);
    /// Makes the workflow of an abandoned attempt check its row; starts the workflow if it is closed or unknown.
    async fn wake_orphan(&self, merchant: MerchantId, charge: ChargeId, attempt: AttemptId);
}

/// Times and limits; tests shorten them.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Timeout of a call to a gateway while another route remains.
    pub call: Duration,
    /// Timeout of a call to the last remaining gateway.
    pub last_call: Duration,
    /// Time that a local activity waits for its attempt: less than 80 % of its workflow task's timeout, after which the task needs a
    /// heartbeat. Measured on Temporal's dev server: a charge costs it 22 ms of CPU, one whose call takes 8 s costs 35 ms with heartbeats
    /// and 38 ms if the attempt is detached; but each heartbeat repeats every 2.4 s (4.4 ms), and a charge that waits in its task holds a
    /// slot that charges of healthy gateways need.
    pub activity: Duration,
    /// Pause until the workflow returns to a detached attempt. It limits the time that a charge makes no progress after its process died.
    pub activity_returns: Duration,
    /// Time to look up a charge after an unknown outcome, within the same attempt.
    pub resolve: Duration,
    /// Backoff between rounds of gateways that all definitely failed.
    pub rounds: Backoff,
    /// Time that a charge's caller waits for the outcome.
    pub answer_within: Duration,
    /// Pauses before the checks of an expired or canceled charge for late payments.
    pub late_checks: Vec<Duration>,
    /// Pauses between the searches for an abandoned attempt; the last one repeats.
    pub orphan_searches: Vec<Duration>,
    /// Time after its deadline during which an abandoned attempt is not found before the merchant is alerted.
    pub absent_after: Duration,
    /// Time during which the gateway does not answer the searches for an abandoned attempt before the merchant is alerted.
    pub review_after: Duration,
    pub delivery: DeliverySchedule,
    /// Timeout of a POST to a merchant's server.
    pub delivery_call: Duration,
    pub pause: PauseTiming,
    /// Time that a boleto waits for an earlier attempt of unknown outcome before the next gateway is tried.
    pub hold_boleto: Duration,
    /// Backoff between checks of a refund that has not ended.
    pub refund_again: Backoff,
    /// Time that the outcome of a refund may be unknown before it needs manual review.
    pub refund_review_after: Duration,
    /// Interval at which a connection's lists at its gateway are read.
    pub poll_every: Duration,
    /// Percentage applied to the time per list request (`Feed::pace`): 100 stays within the gateways' quotas.
    pub poll_pace: u32,
    /// Interval at which the registration and settings of a connection at its gateway are checked.
    pub check_every: Duration,
    /// Time that a row must be overdue before the sweep wakes its workflow.
    pub sweep_grace: Duration,
}

/// Limits for pausing an endpoint and the interval of its probes.
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

/// Dependencies of all activities.
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

/// Returns a duration in whole milliseconds.
pub(crate) fn ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// Returns a duration as a `TimeDelta`, for the database's times.
pub(crate) fn delta(length: Duration) -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(length).unwrap_or(chrono::TimeDelta::MAX)
}

/// Returns the time from `now` until `then`; zero if `then` has passed.
pub(crate) fn until(then: schemas::Instant, now: schemas::Instant) -> Duration {
    (then - now).to_std().unwrap_or_default()
}
