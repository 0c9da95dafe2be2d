//! Attempts that continue in this process after their local activity has returned. A waiting local activity costs Temporal a workflow task
//! every few seconds, and the worker one of its slots; a call that waits in the process costs a socket.

use std::{
    collections::HashMap,
    future::Future,
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

use crate::retry::detached::{MAX_ATTEMPTS, MAX_PAUSE, MIN_PAUSE};
use crate::{Activities, Progress, Step, ms};

type Outcome = Result<Progress, Arc<StoreError>>;

/// Attempts in progress in this process, by charge.
#[derive(Default)]
pub struct Detached {
    entries: Entries,
    tracker: TaskTracker,
}

#[derive(Clone, Default)]
struct Entries(Arc<Mutex<HashMap<ChargeId, Running>>>);

#[derive(Clone)]
struct Running {
    outcome: Shared<BoxFuture<'static, Outcome>>,
    /// True once the activity has returned: the process makes the next attempt itself.
    is_left: Arc<AtomicBool>,
}

/// The entry of a charge whose attempt runs. Removed when the attempt ends, by a panic too: the next attempt must not join it.
struct Entry(Entries, ChargeId);

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl Entries {
    fn lock(&self) -> MutexGuard<'_, HashMap<ChargeId, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Detached {
    /// Creates an empty set. The process waits for `tracker` when it stops.
    pub fn new(tracker: TaskTracker) -> Self {
        Self {
            entries: Entries::default(),
            tracker,
        }
    }

    /// Returns true if the process stops: it waits for what runs, and nothing more begins.
    pub(super) fn is_stopping(&self) -> bool {
        self.tracker.is_closed()
    }

    /// Starts `attempt` of a charge, or joins the one in progress.
    fn run_once<F>(&self, charge: ChargeId, attempt: impl FnOnce(Arc<AtomicBool>) -> F) -> Running
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut entries = self.entries.lock();
        if let Some(running) = entries.get(&charge) {
            return running.clone();
        }
        let is_left = Arc::<AtomicBool>::default();
        let attempt = attempt(is_left.clone());
        let entry = Entry(self.entries.clone(), charge);
        let attempting = async move {
            let _entry = entry;
            attempt.await
        };
        let new = Running {
            outcome: attempting.boxed().shared(),
            is_left,
        };
        entries.insert(charge, new.clone());
        self.tracker.spawn(new.outcome.clone());
        new
    }
}

impl Activities {
    /// Tries gateways for a charge. Returns after `timing.activity` at the latest; the process then continues, and the workflow checks the
    /// result later.
    pub async fn attempt_or_detach(self: &Arc<Self>, charge: ChargeId) -> Outcome {
        let this = self.clone();
        let running = self.detached.run_once(charge, |is_left| async move {
            let outcome = this.attempt_until_joined(charge, &is_left).await;
            outcome.map_err(Arc::new)
        });
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
                        && !self.detached.is_stopping() =>
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn an_attempt_that_panicked_is_not_joined_by_the_next_one() {
        let detached = Detached::default();
        let charge = ChargeId(Uuid::from_u128(1));
        let panicking = detached.run_once(charge, |_| async { panic!("a test's panic") });
        assert!(detached.entries.lock().contains_key(&charge));
        detached.tracker.close();
        // the task has panicked
        detached.tracker.wait().await;
        drop(panicking);
        let next = || async { Ok(Progress::changed(Step::Done)) };
        let running = detached.run_once(charge, |_| next());
        let outcome = running.outcome.await.expect("an outcome");
        assert_eq!(outcome.step, Step::Done);
        assert!(detached.entries.lock().is_empty());
    }

    #[tokio::test]
    async fn a_second_caller_joins_the_attempt_in_progress() {
        let detached = Detached::default();
        let charge = ChargeId(Uuid::from_u128(1));
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let first = detached.run_once(charge, |_| async move {
            let _ = ended.await;
            Ok(Progress::changed(Step::Done))
        });
        let joined = detached.run_once(charge, |_| async { panic!("a second attempt") });
        end.send(()).expect("it waits");
        for running in [first, joined] {
            let outcome = running.outcome.await.expect("an outcome");
            assert_eq!(outcome.step, Step::Done);
        }
    }
}
