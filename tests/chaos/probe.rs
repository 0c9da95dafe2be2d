//! Measures how long the API did not answer.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tests::Api;
use tokio::time::{Instant, sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const EVERY: Duration = Duration::from_millis(50);
/// Time after which a request counts as unanswered.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Repeated read of a list, which needs the API and its database.
pub(crate) struct Probe {
    answers: Arc<Mutex<Vec<Instant>>>,
    stop: CancellationToken,
}

impl Probe {
    pub(crate) fn start(api: &Api) -> Self {
        let probe = Self {
            answers: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (answers, stop) = (probe.answers.clone(), probe.stop.clone());
        let url = format!("{}v1/charges?limit=1", api.base);
        let (http, key) = (tests::http(), api.key.clone());
        TaskTracker::new().spawn(stop.run_until_cancelled_owned(async move {
            loop {
                let asked = http.get(&url).bearer_auth(&key).timeout(TIMEOUT).send();
                if asked.await.is_ok_and(|answer| answer.status().is_success()) {
                    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                    answers.push(Instant::now());
                }
                sleep(EVERY).await;
            }
        }));
        probe
    }

    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Returns the longest time without an answer.
    pub(crate) fn longest_silence(&self, from: Instant, to: Instant) -> Duration {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let within = answers.iter().copied().filter(|at| (from..to).contains(at));
        let (mut last, mut longest) = (from, Duration::ZERO);
        for answer in within.chain([to]) {
            longest = longest.max(answer - last);
            last = answer;
        }
        longest
    }
}
