//! Starts of deliveries that no caller waits for, shared fairly among merchants.

use std::{future::Future, time::Duration};

use activities::{
    Started,
    fair::{FairSlots, Shares, Slot},
};
use schemas::id::MerchantId;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::pause;

/// Maximum number of deliveries that one process starts at a time.
const STARTS_AT_A_TIME: usize = 16;
/// Number of them that are reserved for merchants with fewer than a quarter of them.
const STARTS_RESERVED: usize = 2;
/// Maximum number of deliveries of one process that wait to be started. More are left to the sweep.
const MAX_STARTS_WAITING: usize = 10_000;
/// Number of them that are reserved for merchants with fewer than a quarter of them.
const WAITING_RESERVED: usize = 1_000;
/// Maximum age of a delivery's start. The sweep starts deliveries that are as old.
const MAX_AGE: Duration = Duration::from_mins(1);
/// Pauses before a delivery's start is retried. A delivery that does not start after the last one is left to the sweep.
const START_RETRIES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
/// The only group of slots.
const DELIVERIES: &str = "deliveries";

type Slots = FairSlots<&'static str, MerchantId>;

/// Deliveries that wait to be started. Cheap to clone.
#[derive(Clone)]
pub(super) struct DeliveryStarts {
    waiting: Slots,
    starting: Slots,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl DeliveryStarts {
    pub(super) fn new(tracker: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            waiting: FairSlots::sharing(Shares {
                slots: MAX_STARTS_WAITING,
                of_group: MAX_STARTS_WAITING,
                of_key: MAX_STARTS_WAITING / 4,
                headroom: WAITING_RESERVED,
                max_queued: 0,
                gauge: "delivery_starts_waiting",
            }),
            starting: FairSlots::sharing(Shares {
                slots: STARTS_AT_A_TIME,
                of_group: STARTS_AT_A_TIME,
                of_key: STARTS_AT_A_TIME / 4,
                headroom: STARTS_RESERVED,
                max_queued: MAX_STARTS_WAITING,
                gauge: "delivery_starts_in_progress",
            }),
            tracker,
            stop,
        }
    }

    /// Starts a merchant's delivery in the background, or leaves it to the sweep.
    pub(super) fn submit<F>(
        &self,
        merchant: MerchantId,
        start: impl Fn() -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Started> + Send,
    {
        let Some(place) = self.waiting.try_enter(DELIVERIES, merchant) else {
            return left_to_sweep("full");
        };
        let this = self.clone();
        self.tracker
            .spawn(async move { this.start(merchant, start, place).await });
    }

    /// Starts a delivery, and retries while Temporal does not respond: a busy Temporal loses starts, and the sweep finds them only a minute
    /// later.
    async fn start<F: Future<Output = Started>>(
        &self,
        merchant: MerchantId,
        start: impl Fn() -> F,
        _place: Slot<&'static str, MerchantId>,
    ) {
        let end = Instant::now() + MAX_AGE;
        for wait in START_RETRIES.into_iter().map(Some).chain([None]) {
            let within = end.saturating_duration_since(Instant::now());
            let slot = self.starting.enter_within(DELIVERIES, merchant, within);
            let Some(slot) = slot.await else {
                return left_to_sweep("too old");
            };
            if self.stop.is_cancelled() {
                return left_to_sweep("stopping");
            }
            let started = start().await;
            drop(slot);
            if started != Started::Away {
                return;
            }
            let Some(wait) = wait else { break };
            if self.stop.run_until_cancelled(pause(wait)).await.is_none() {
                return left_to_sweep("stopping");
            }
        }
        left_to_sweep("Temporal away");
    }
}

fn left_to_sweep(why: &'static str) {
    metrics::counter!("delivery_starts_left_to_sweep_total", "why" => why).increment(1);
}
