//! The circuit breaker: when to stop asking a gateway that fails, and how to find out that it is well again.
//!
//! Pure: the store keeps one [`Breaker`] per connection and API family, the caller reads the
//! [`Window`] from the attempts and hands in the time.

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{Instant, attempt::ErrorClass, id::AttemptId};

/// All of something, in basis points.
const WHOLE_BPS: i64 = 10_000;

/// When a breaker opens and closes; a merchant may change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How far back attempts count, in seconds.
    #[schemars(range(min = 1, max = 3600))]
    pub window_s: i64,
    /// Opens after this many failures in a row.
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_failures: i32,
    /// Opens when this share of the window's attempts failed, in basis points.
    #[schemars(range(min = 1, max = 10_000))]
    pub failure_rate_bps: i32,
    /// The share counts only from this many attempts in the window.
    #[schemars(range(min = 1, max = 10_000))]
    pub min_attempts: i32,
    /// How long it stays open the first time, in seconds; doubles with each failed probe.
    #[schemars(range(min = 1, max = 3600))]
    pub open_s: i64,
    /// The longest it stays open, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub max_open_s: i64,
    /// Closes after this many probes that found the gateway alive.
    #[schemars(range(min = 1, max = 100))]
    pub half_open_successes: i32,
    /// A call that took longer counts as failed, in milliseconds. The default is an attempt's whole time
    /// while another route remains: a gateway that needs longer is of no use to a payer who waits.
    #[schemars(range(min = 1, max = 60_000))]
    pub slow_call_ms: i64,
    /// Whether requests that the gateway refused for their content (400, 404, 409, 422) count as failed.
    pub count_client_errors: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window_s: 60,
            consecutive_failures: 5,
            failure_rate_bps: 5_000,
            min_attempts: 10,
            open_s: 30,
            max_open_s: 600,
            half_open_successes: 3,
            slow_call_ms: 8_000,
            count_client_errors: false,
        }
    }
}

impl Settings {
    /// How long the breaker stays open when it opens for the n-th time in a row.
    fn open_for(&self, openings: i32) -> TimeDelta {
        let doublings = u32::try_from(openings - 1).unwrap_or(0);
        let factor = 2_i64.saturating_pow(doublings);
        seconds(self.open_s.saturating_mul(factor).min(self.max_open_s))
    }

    fn opens_after(&self, window: &Window) -> Option<Why> {
        let share_bps = i64::from(window.failures) * WHOLE_BPS;
        let limit_bps = i64::from(window.attempts) * i64::from(self.failure_rate_bps);
        if window.consecutive_failures >= self.consecutive_failures {
            Some(Why::ConsecutiveFailures)
        } else if window.attempts >= self.min_attempts && share_bps >= limit_bps {
            Some(Why::FailureRate)
        } else {
            None
        }
    }
}

fn seconds(s: i64) -> TimeDelta {
    TimeDelta::try_seconds(s).unwrap_or(TimeDelta::MAX)
}

/// What a breaker does with calls.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, AsRefStr, Display,
    EnumIter, EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum State {
    /// Lets them through.
    #[default]
    Closed,
    /// Keeps them away until `open_until`.
    Open,
    /// Lets one at a time through, to find out.
    HalfOpen,
}

/// A circuit breaker as it stands. The default is closed, with no history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Breaker {
    /// As measured; a hold by hand goes above it.
    pub state: State,
    /// How many times in a row it opened without closing in between; the open time doubles with it.
    pub openings: i32,
    /// When it last opened; null while closed.
    pub opened_at: Option<Instant>,
    /// When probes may begin; null while closed.
    pub open_until: Option<Instant>,
    /// When it last closed after being open: attempts before that no longer count (see [`Breaker::counts_from`]).
    pub closed_at: Option<Instant>,
    /// Probes that found the gateway alive since it last opened.
    pub half_open_successes: i32,
    /// The one call that may find out, while half open.
    pub probe: Option<Probe>,
    /// What a person decided instead.
    pub hold: Option<Hold>,
}

/// A call let through a half-open breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Probe {
    /// The only attempt whose outcome counts.
    pub attempt: AttemptId,
    /// Lapses by itself here, its attempt's deadline, so that a crashed one does not block the next.
    pub until: Instant,
}

/// A breaker held by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hold {
    /// Which way.
    pub kind: HoldKind,
    /// Lapses by itself here.
    pub until: Instant,
    /// Why, in the words of who did it.
    pub reason: String,
}

/// Which way a breaker is held.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, AsRefStr, Display, EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum HoldKind {
    /// No calls, whatever is measured.
    ForceOpen,
    /// All calls, whatever is measured.
    ForceClosed,
}

/// What a breaker says to a call that is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Make it.
    Allowed,
    /// Make it if you can [`Breaker::lease`] the probe.
    Probe,
    /// Do not make it.
    Refused {
        /// When to ask again, if known.
        until: Option<Instant>,
    },
}

/// What a call says about its gateway's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It worked.
    Success,
    /// It was refused for its own content (a 400, a decline): no merit, but the gateway lives.
    Alive,
    /// The gateway failed, was slow, or asked for fewer calls.
    Failure,
    /// The gateway refused our credentials (401, 403): every call would fail.
    Denied,
}

/// An attempt that ended, as the breaker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which one: in half-open only the leased probe's outcome counts.
    pub attempt: AttemptId,
    /// How it went.
    pub outcome: Outcome,
}

/// What the attempts since [`Breaker::counts_from`] amount to, the one being recorded included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// All that ended.
    pub attempts: i32,
    /// Those whose outcome was a failure or a denial.
    pub failures: i32,
    /// The failures since the last one that was none.
    pub consecutive_failures: i32,
}

/// A change of a breaker's state, to be kept and published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transition {
    /// What it was.
    pub from: State,
    /// What it is now.
    pub to: State,
    /// What made it change.
    pub why: Why,
}

/// What made a breaker change.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, AsRefStr, Display, EnumIter,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Why {
    /// Too many failures in a row.
    ConsecutiveFailures,
    /// Too large a share of the attempts failed.
    FailureRate,
    /// The gateway refused the credentials.
    CredentialsDenied,
    /// Its open time is over and a probe was let through.
    ProbeStarted,
    /// The probe failed.
    ProbeFailed,
    /// Enough probes found the gateway alive.
    Recovered,
}

/// What a call says about its gateway: how it ended (`None`: well) and how long it took, in milliseconds.
///
/// Only for calls that reached for the gateway: what ended before that (no free slot in our own
/// bulkhead, say) must not be recorded.
pub fn outcome_of(class: Option<ErrorClass>, duration_ms: i64, settings: &Settings) -> Outcome {
    match class {
        Some(ErrorClass::Denied) => Outcome::Denied,
        Some(class) if class.counts_against_gateway() => Outcome::Failure,
        _ if duration_ms > settings.slow_call_ms => Outcome::Failure,
        Some(ErrorClass::Refused) if settings.count_client_errors => Outcome::Failure,
        Some(_) => Outcome::Alive,
        None => Outcome::Success,
    }
}

impl Breaker {
    /// The hold in force at `now`.
    pub fn held(&self, now: Instant) -> Option<&Hold> {
        self.hold.as_ref().filter(|hold| now < hold.until)
    }

    /// Whether a call may be made at `now`.
    pub fn admit(&self, now: Instant) -> Admission {
        if let Some(hold) = self.held(now) {
            return match hold.kind {
                HoldKind::ForceClosed => Admission::Allowed,
                HoldKind::ForceOpen => Admission::Refused { until: Some(hold.until) },
            };
        }
        let until = match self.state {
            State::Closed => return Admission::Allowed,
            State::Open => self.open_until,
            State::HalfOpen => self.probe.map(|probe| probe.until),
        };
        match until {
            Some(until) if now < until => Admission::Refused { until: Some(until) },
            _ => Admission::Probe,
        }
    }

    /// Makes `attempt` the probe until its deadline `until`, in the transaction that inserts it.
    ///
    /// Only after [`Admission::Probe`] from this very row, under its lock: that is what keeps
    /// probes one at a time. On any other answer it changes nothing.
    pub fn lease(&mut self, attempt: AttemptId, until: Instant, now: Instant) -> Option<Transition> {
        if self.admit(now) != Admission::Probe {
            return None;
        }
        self.probe = Some(Probe { attempt, until });
        let opened = self.state == State::Open;
        opened.then(|| self.turn(State::HalfOpen, Why::ProbeStarted))
    }

    /// The beginning of the window at `now`: attempts that ended earlier must not count, and those
    /// before the breaker last closed were judged already.
    pub fn counts_from(&self, settings: &Settings, now: Instant) -> Instant {
        let start = now.checked_sub_signed(seconds(settings.window_s)).unwrap_or(Instant::MIN_UTC);
        self.closed_at.map_or(start, |closed_at| start.max(closed_at))
    }

    /// Whether recording `call` at `now` changes nothing, whatever the window says: then neither
    /// the window need be read nor the breaker's row locked or written.
    pub fn is_noop_for(&self, call: Call, now: Instant) -> bool {
        let counts = match self.state {
            State::Closed => matches!(call.outcome, Outcome::Failure | Outcome::Denied),
            State::Open => false,
            State::HalfOpen => self.probe.is_some_and(|probe| probe.attempt == call.attempt),
        };
        !counts || self.held(now).is_some()
    }

    /// Takes in how a call ended; the answer is the change of state, if any. The row must be
    /// written unless [`Self::is_noop_for`] says otherwise.
    ///
    /// Calls that began before the breaker opened say nothing new, so only the probe's outcome
    /// counts until it is closed again. Nothing counts while it is held by hand.
    pub fn record(
        &mut self,
        call: Call,
        window: &Window,
        settings: &Settings,
        now: Instant,
    ) -> Option<Transition> {
        if self.is_noop_for(call, now) {
            return None;
        }
        let alive = matches!(call.outcome, Outcome::Success | Outcome::Alive);
        if self.state == State::HalfOpen && alive {
            return self.probe_succeeded(settings, now);
        }
        let why = match (self.state, call.outcome) {
            (_, Outcome::Denied) => Why::CredentialsDenied,
            (State::HalfOpen, _) => Why::ProbeFailed,
            _ => settings.opens_after(window)?,
        };
        Some(self.open(why, settings, now))
    }

    fn probe_succeeded(&mut self, settings: &Settings, now: Instant) -> Option<Transition> {
        self.probe = None;
        self.half_open_successes += 1;
        if self.half_open_successes < settings.half_open_successes {
            return None;
        }
        let transition = self.turn(State::Closed, Why::Recovered);
        let hold = self.hold.take();
        *self = Self { closed_at: Some(now), hold, ..Self::default() };
        Some(transition)
    }

    fn open(&mut self, why: Why, settings: &Settings, now: Instant) -> Transition {
        self.openings = self.openings.saturating_add(1);
        self.opened_at = Some(now);
        self.open_until = now.checked_add_signed(settings.open_for(self.openings));
        self.half_open_successes = 0;
        self.probe = None;
        self.turn(State::Open, why)
    }

    fn turn(&mut self, to: State, why: Why) -> Transition {
        let from = std::mem::replace(&mut self.state, to);
        Transition { from, to, why }
    }
}
