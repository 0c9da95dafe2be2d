//! Attempts that continue in this process after their local activity has returned. A waiting local activity costs Temporal a workflow task
//! every few seconds, and the worker one of its slots; a call that waits in the process costs a socket.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture, future::Shared};
use schemas::id::ChargeId;
use store::StoreError;
use tokio_util::task::TaskTracker;

use crate::{Activities, Progress, Step, ms};

/// Longest pause before the next attempt that the process waits for itself; a longer one is left to the workflow.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Minimum pause between attempts.
const MIN_PAUSE: Duration = Duration::from_millis(10);
/// Maximum number of consecutive attempts without the workflow.
const MAX_ATTEMPTS: u32 = 20;

type Outcome = Result<Progress, Arc<StoreError>>;

/// Attempts in progress in this process, by charge.
#[derive(Default)]
pub struct Detached {
    running: Mutex<HashMap<ChargeId, Running>>,
    tracker: TaskTracker,
}

#[derive(Clone)]
struct Running {
    outcome: Shared<BoxFuture<'static, Outcome>>,
    /// True once the activity has returned: the process makes the next attempt itself.
    is_left: Arc<AtomicBool>,
}

impl Detached {
    /// Creates an empty set. The process waits for `tracker` when it stops.
    pub fn new(tracker: TaskTracker) -> Self {
        Self {
            running: Mutex::default(),
            tracker,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChargeId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry of a charge whose attempt runs. Removed when the attempt ends, by a panic too: the next attempt must not join it.
struct Entry<'a>(&'a Detached, ChargeId);

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl Activities {
    /// Tries gateways for a charge. Returns after `timing.activity` at the latest; the process then continues, and the workflow checks the
    /// result later.
    pub async fn attempt_or_detach(self: &Arc<Self>, charge: ChargeId) -> Outcome {
        let running = self.run_once(charge);
        let waited = tokio::time::timeout(self.timing.activity, running.outcome.clone()).await;
        if let Ok(outcome) = waited {
            return outcome;
        }
        running.is_left.store(true, Ordering::Relaxed);
        if let Some(outcome) = running.outcome.now_or_never() {
            return outcome;
        }
        metrics::counter!("attempts_detached_total").increment(1);
        Ok(Progress::unchanged(Step::attempt_after(
            self.timing.activity_returns,
        )))
    }

    /// Starts the attempt, or joins the one in progress in this process.
    fn run_once(self: &Arc<Self>, charge: ChargeId) -> Running {
        let mut running = self.detached.lock();
        if let Some(running) = running.get(&charge) {
            return running.clone();
        }
        let is_left = Arc::<AtomicBool>::default();
        let (this, left) = (self.clone(), is_left.clone());
        let attempting = async move {
            let _entry = Entry(&this.detached, charge);
            let outcome = this.attempt_until_joined(charge, &left).await;
            outcome.map_err(Arc::new)
        };
        let new = Running {
            outcome: attempting.boxed().shared(),
            is_left,
        };
        running.insert(charge, new.clone());
        self.detached.tracker.spawn(new.outcome.clone());
        new
    }

    async fn attempt_until_joined(
        &self,
        charge: ChargeId,
        is_left: &AtomicBool,
    ) -> Result<Progress, StoreError> {
        let mut done = Box::pin(self.attempt_charge(charge)).await?;
        for _ in 0..MAX_ATTEMPTS {
            match done.step {
                Step::Attempt { after_ms }
                    if is_left.load(Ordering::Relaxed)
                        && after_ms <= ms(MAX_PAUSE)
                        && !self.detached.tracker.is_closed() =>
                {
                    let pause = Duration::from_millis(after_ms).max(MIN_PAUSE);
                    gateways::outside::sleep(pause).await;
                    done = Box::pin(self.attempt_charge(charge)).await?;
                }
                _ => break,
            }
        }
        Ok(done)
    }
}
