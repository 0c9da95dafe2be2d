//! State that every simulator has: a clock, ids, settings, faults, and a log of requests and notifications.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    fault::Faults,
    notify::{Held, Notification},
};

/// Number of requests that are logged.
const REQUESTS: usize = 10_000;
/// Longest sleep: ten years.
const MAX_SLEEP_MS: i64 = 315_360_000_000;
/// Separates the random sequence of the faults from that of the ids.
const FAULTS: u64 = 0x5157;

/// Behavior of a simulator without faults.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// Delay before every response, in milliseconds.
    pub latency_ms: u64,
    /// Time after which each new charge is paid automatically, in milliseconds.
    pub auto_pay_ms: Option<u64>,
    /// Time after which a charge of at most R$ 10.00 is paid automatically, as in Efí's homologation environment, in milliseconds. Off by
    /// default.
    pub auto_pay_small_ms: Option<u64>,
    /// True if notifications are sent.
    pub notify: bool,
    pub notification_delay_ms: u64,
    /// Seconds between tries of a notification. Defaults to the gateway's own schedule.
    pub notification_retries_s: Option<Vec<u64>>,
    /// Number of times that each notification is sent.
    pub notification_copies: u32,
    /// Probability from 0 to 1 that a notification is never sent.
    pub notification_loss: f64,
    /// Number of next notifications that are never sent.
    pub notification_lose_next: u64,
    /// Number of next notifications that wait until the one after them was sent, or until all faults are cleared.
    pub notification_hold_next: u64,
    /// Lifetime of an Efí token in seconds.
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
            notification_copies: 1,
            notification_loss: 0.0,
            notification_lose_next: 0,
            notification_hold_next: 0,
            token_ttl_s: 3600,
        }
    }
}

/// Request that was received.
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
    /// True if the sockets are to accept connections.
    pub up: watch::Sender<bool>,
    /// Number of sockets, and number of those that accept connections.
    pub sockets: watch::Sender<(usize, usize)>,
    /// True if client certificates are refused.
    pub refuses_certificates: Arc<AtomicBool>,
    pub http: reqwest::Client,
    settings: Mutex<Settings>,
    seen: Mutex<VecDeque<Seen>>,
    pub notifications: Mutex<Vec<Notification>>,
    /// Release of the notification that is held back until the next one was sent.
    pub held: Mutex<Option<Held>>,
    /// Offset of the clock ahead of real time, in seconds.
    ahead_s: watch::Sender<i64>,
    /// Fixed time of the clock. Set only in process.
    standing: Mutex<Option<DateTime<Utc>>>,
    /// Numbers of the notifications that the caller is to send. Used only in process.
    pub left: Mutex<Vec<usize>>,
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
            faults: Faults::new(seed ^ FAULTS),
            up: watch::Sender::new(true),
            sockets: watch::Sender::new((0, 0)),
            refuses_certificates: Arc::default(),
            http: http.expect("a client without special wishes"),
            settings: Mutex::default(),
            seen: Mutex::default(),
            notifications: Mutex::default(),
            held: Mutex::default(),
            ahead_s: watch::Sender::new(0),
            standing: Mutex::default(),
            left: Mutex::default(),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    pub(crate) fn set(&self, settings: Settings) {
        *lock(&self.settings) = settings;
    }

    /// Changes the settings under their lock.
    pub(crate) fn adjust<T>(&self, change: impl FnOnce(&mut Settings) -> T) -> T {
        change(&mut lock(&self.settings))
    }

    /// Returns true if the caller moves the clock and sends the notifications.
    pub(crate) fn is_in_process(&self) -> bool {
        lock(&self.standing).is_some()
    }

    /// Sets the clock to a fixed time.
    pub(crate) fn stand_at(&self, now: DateTime<Utc>) {
        *lock(&self.standing) = Some(now);
    }

    /// Reseeds the random generators and clears the logged requests and notifications.
    pub(crate) fn reseed(&self, seed: u64) {
        *lock(&self.rng) = StdRng::seed_from_u64(seed);
        lock(&self.seen).clear();
        lock(&self.notifications).clear();
        lock(&self.left).clear();
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        if let Some(now) = *lock(&self.standing) {
            return now;
        }
        DateTime::<Utc>::from(SystemTime::now()) + TimeDelta::seconds(*self.ahead_s.borrow())
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.ahead_s.send_modify(|ahead| *ahead += seconds);
    }

    /// Returns random lowercase letters and digits.
    pub(crate) fn random(&self, length: usize) -> String {
        const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut rng = lock(&self.rng);
        (0..length)
            .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]))
            .collect()
    }

    pub(crate) fn digits(&self, length: usize) -> String {
        let mut rng = lock(&self.rng);
        (0..length)
            .map(|_| char::from(rng.random_range(b'0'..=b'9')))
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

    /// Sleeps by this simulator's clock, which can be advanced.
    pub(crate) async fn sleep(&self, ms: u64) {
        let wait = i64::try_from(ms).map_or(MAX_SLEEP_MS, |ms| ms.min(MAX_SLEEP_MS));
        let due = self.now() + TimeDelta::milliseconds(wait);
        let mut ahead = self.ahead_s.subscribe();
        loop {
            ahead.mark_unchanged();
            let Ok(left) = (due - self.now()).to_std() else {
                return;
            };
            tokio::select! {
                () = tokio::time::sleep(left.max(Duration::from_millis(1))) => {}
                _ = ahead.changed() => {}
            }
        }
    }

    /// Runs `what` after a delay by this simulator's clock, unless the simulator ends first.
    pub(crate) fn later(
        self: &Arc<Self>,
        after_ms: u64,
        what: impl Future<Output = ()> + Send + 'static,
    ) {
        let sim = self.clone();
        self.tracker.spawn(async move {
            let wait_and_do = async {
                if after_ms > 0 {
                    sim.sleep(after_ms).await;
                }
                what.await;
            };
            sim.stop.run_until_cancelled(wait_and_do).await;
        });
    }

    /// Opens or closes the sockets and waits until all of them have changed.
    pub(crate) async fn set_up(&self, up: bool) {
        self.up.send_replace(up);
        let done = |(all, open): &(usize, usize)| if up { open == all } else { *open == 0 };
        let _ = self.sockets.subscribe().wait_for(done).await;
    }

    /// Sets whether client certificates are refused. Closes open connections, so that the setting applies to all.
    pub(crate) async fn refuse_certificates(&self, refuse: bool) {
        if self.refuses_certificates.swap(refuse, Ordering::SeqCst) != refuse && refuse {
            let up = *self.up.borrow();
            self.set_up(false).await;
            self.set_up(up).await;
        }
    }

    pub(crate) fn reset(&self) {
        self.faults.clear();
        self.refuses_certificates.store(false, Ordering::SeqCst);
        self.up.send_replace(true);
        self.set(Settings::default());
        lock(&self.seen).clear();
        lock(&self.notifications).clear();
        lock(&self.held).take();
        self.ahead_s.send_replace(0);
    }
}

/// Locks a mutex even if its holder panicked: the simulators continue.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Formats centavos as `123.45`.
pub(crate) fn decimal(amount: i64) -> String {
    format!("{}.{:02}", amount / 100, amount % 100)
}
