//! Starts of deliveries that no caller waits for, shared fairly among merchants.

use std::future::Future;

use activities::retry::client::{DELIVERY_START_MAX_AGE, DELIVERY_START_RETRIES};
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
        let end = Instant::now() + DELIVERY_START_MAX_AGE;
        for wait in DELIVERY_START_RETRIES.into_iter().map(Some).chain([None]) {
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use tokio::sync::Semaphore;
    use uuid::Uuid;

    use super::*;

    /// Starts that wait until the test lets them end.
    struct Bench {
        starts: DeliveryStarts,
        begun: Arc<Mutex<Vec<MerchantId>>>,
        gate: Arc<Semaphore>,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                starts: DeliveryStarts::new(TaskTracker::new(), CancellationToken::new()),
                begun: Arc::default(),
                gate: Arc::new(Semaphore::new(0)),
            }
        }

        fn submit(&self, merchant: MerchantId, times: usize) {
            for _ in 0..times {
                let (begun, gate) = (self.begun.clone(), self.gate.clone());
                self.starts.submit(merchant, move || {
                    let mut all = begun.lock().unwrap_or_else(PoisonError::into_inner);
                    all.push(merchant);
                    let gate = gate.clone();
                    async move {
                        let _ = gate.acquire().await;
                        Started::Now
                    }
                });
            }
        }

        /// Returns the merchants whose starts have begun once every task has run as far as it can.
        async fn begun(&self) -> Vec<MerchantId> {
            for _ in 0..10_000 {
                tokio::task::yield_now().await;
            }
            let all = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
            all.clone()
        }

        /// Lets all starts end, and waits for the tasks.
        async fn end(&self) {
            self.gate.close();
            self.starts.tracker.close();
            self.starts.tracker.wait().await;
        }
    }

    fn merchant(n: u128) -> MerchantId {
        MerchantId(Uuid::from_u128(n))
    }

    #[tokio::test]
    async fn a_merchant_with_many_deliveries_does_not_delay_those_of_another() {
        let bench = Bench::new();
        let (busy, quiet) = (merchant(1), merchant(2));
        bench.submit(busy, MAX_STARTS_WAITING + 100);
        bench.submit(quiet, 1);
        let begun = bench.begun().await;
        assert!(begun.contains(&quiet), "{}", begun.len());
        assert!(begun.len() < STARTS_AT_A_TIME, "{}", begun.len());
        bench.end().await;
        let all = bench.begun().await;
        assert_eq!(all.len(), MAX_STARTS_WAITING - WAITING_RESERVED + 1);
    }

    #[tokio::test]
    async fn a_stopping_process_leaves_waiting_starts_to_the_sweep() {
        let bench = Bench::new();
        bench.submit(merchant(1), 100);
        let begun = bench.begun().await.len();
        bench.starts.stop.cancel();
        bench.end().await;
        assert_eq!(bench.begun().await.len(), begun);
    }
}
