//! What every simulator has: a clock, ids, settings, faults, and a memory of what came and went.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{fault::Faults, notify::Notification};

/// How many requests are remembered.
const REQUESTS: usize = 10_000;

/// How a simulator behaves when nothing is broken.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// Before every answer.
    pub latency_ms: u64,
    /// Each new charge pays itself after this.
    pub auto_pay_ms: Option<u64>,
    /// Efí's homologation pays what is at most R$ 10,00 by itself; off unless told.
    pub auto_pay_small_ms: Option<u64>,
    /// Whether anything is told.
    pub notify: bool,
    pub notification_delay_ms: u64,
    /// Between tries of a notification; none: the gateway's own schedule.
    pub notification_retries_s: Option<Vec<u64>>,
    /// How long a token of Efí lives.
    pub token_ttl_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            auto_pay_ms: None,
            auto_pay_small_ms: None,
            notify: true,
            notification_delay_ms: 0,
            notification_retries_s: None,
            token_ttl_s: 3600,
        }
    }
}

/// A request that came.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Seen {
    pub at: DateTime<Utc>,
    pub method: String,
    pub path: String,
    pub status: Option<u16>,
    pub reference: Option<String>,
    pub idempotency_key: Option<String>,
}

pub(crate) struct Sim {
    pub name: &'static str,
    pub tracker: TaskTracker,
    pub stop: CancellationToken,
    pub faults: Faults,
    /// Whether connections are to be taken.
    pub up: watch::Sender<bool>,
    /// How many sockets there are, and how many of them take connections.
    pub sockets: watch::Sender<(usize, usize)>,
    pub http: reqwest::Client,
    settings: Mutex<Settings>,
    seen: Mutex<VecDeque<Seen>>,
    pub notifications: Mutex<Vec<Notification>>,
    ahead_s: Mutex<i64>,
    rng: Mutex<StdRng>,
}

impl Sim {
    pub(crate) fn new(
        name: &'static str,
        seed: u64,
        tracker: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build();
        Self {
            name,
            tracker,
            stop,
            faults: Faults::default(),
            up: watch::Sender::new(true),
            sockets: watch::Sender::new((0, 0)),
            http: http.expect("a client without special wishes"),
            settings: Mutex::default(),
            seen: Mutex::default(),
            notifications: Mutex::default(),
            ahead_s: Mutex::default(),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    pub(crate) fn set(&self, settings: Settings) {
        *lock(&self.settings) = settings;
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        DateTime::<Utc>::from(SystemTime::now()) + TimeDelta::seconds(*lock(&self.ahead_s))
    }

    pub(crate) fn advance(&self, seconds: i64) {
        *lock(&self.ahead_s) += seconds;
    }

    /// Letters and digits.
    pub(crate) fn random(&self, length: usize) -> String {
        const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut rng = lock(&self.rng);
        (0..length)
            .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]))
            .collect()
    }

    pub(crate) fn saw(&self, request: Seen) {
        let mut seen = lock(&self.seen);
        if seen.len() == REQUESTS {
            seen.pop_front();
        }
        seen.push_back(request);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).iter().cloned().collect()
    }

    /// Does `what` after a while, unless the simulator ends before.
    pub(crate) fn later(&self, after_ms: u64, what: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            stop.run_until_cancelled(async move {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                what.await;
            })
            .await;
        });
    }

    /// Opens or closes the sockets, and waits until that is so.
    pub(crate) async fn set_up(&self, up: bool) {
        self.up.send_replace(up);
        let done = |(all, open): &(usize, usize)| if up { open == all } else { *open == 0 };
        let _ = self.sockets.subscribe().wait_for(done).await;
    }

    pub(crate) fn reset(&self) {
        self.faults.clear();
        self.up.send_replace(true);
        self.set(Settings::default());
        lock(&self.seen).clear();
        lock(&self.notifications).clear();
        *lock(&self.ahead_s) = 0;
    }
}

/// A lock whose holder may have panicked: simulators go on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Centavos as `123.45`.
pub(crate) fn decimal(amount: i64) -> String {
    format!("{}.{:02}", amount / 100, amount % 100)
}
