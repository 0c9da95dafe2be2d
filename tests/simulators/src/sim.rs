//! What every simulator has: a clock, ids, settings, faults, and a memory of what came and went.

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

/// How many requests are remembered.
const REQUESTS: usize = 10_000;
/// Ten years: nothing waits longer.
const MAX_SLEEP_MS: i64 = 315_360_000_000;
/// Sets the faults' draws apart from those of the ids.
const FAULTS: u64 = 0x5157;

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
    /// Each notification is sent so many times.
    pub notification_copies: u32,
    /// From 0 to 1: how likely a notification is never sent.
    pub notification_loss: f64,
    /// So many of the next notifications are never sent.
    pub notification_lose_next: u64,
    /// So many of the next notifications wait until the one after them went out, or until healed.
    pub notification_hold_next: u64,
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
            notification_copies: 1,
            notification_loss: 0.0,
            notification_lose_next: 0,
            notification_hold_next: 0,
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
    /// Whether client certificates are refused.
    pub refuses_certificates: Arc<AtomicBool>,
    pub http: reqwest::Client,
    settings: Mutex<Settings>,
    seen: Mutex<VecDeque<Seen>>,
    pub notifications: Mutex<Vec<Notification>>,
    /// The notification that waits for the next one.
    pub held: Mutex<Option<Held>>,
    /// How far the clock is ahead, in seconds.
    ahead_s: watch::Sender<i64>,
    /// In process: the clock stands here.
    standing: Mutex<Option<DateTime<Utc>>>,
    /// In process: the notifications that somebody else is to send.
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

    /// Reads the settings and changes them in one step.
    pub(crate) fn adjust<T>(&self, change: impl FnOnce(&mut Settings) -> T) -> T {
        change(&mut lock(&self.settings))
    }

    /// Whether time, and what is told, is somebody else's work.
    pub(crate) fn is_in_process(&self) -> bool {
        lock(&self.standing).is_some()
    }

    /// Sets the clock, which stands from now on.
    pub(crate) fn stand_at(&self, now: DateTime<Utc>) {
        *lock(&self.standing) = Some(now);
    }

    /// Begins anew from a seed, without what was told.
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

    /// Letters and digits.
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

    /// Waits by this simulator's clock, which can be advanced.
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

    /// Does `what` after a while of this simulator's clock, unless the simulator ends before.
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

    /// Opens or closes the sockets, and waits until that is so.
    pub(crate) async fn set_up(&self, up: bool) {
        self.up.send_replace(up);
        let done = |(all, open): &(usize, usize)| if up { open == all } else { *open == 0 };
        let _ = self.sockets.subscribe().wait_for(done).await;
    }

    /// From now on client certificates are refused, or taken. Connections that stand are cut, so that it is true of all.
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

/// A lock whose holder may have panicked: simulators go on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Centavos as `123.45`.
pub(crate) fn decimal(amount: i64) -> String {
    format!("{}.{:02}", amount / 100, amount % 100)
}
