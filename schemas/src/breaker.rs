//! Circuit breaker: stops calls to a gateway that fails, and probes it until it is healthy again.
//!
//! Pure rules: the store holds one [`Breaker`] per connection and gateway API. The caller counts the
//! attempts in a [`FailureWindow`] and passes the time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{Instant, id::AttemptId};

mod outcome;
mod settings;
#[cfg(test)]
mod tests;

pub use outcome::{CallHealth, CallReport, FailureWindow, outcome_of};
pub use settings::BreakerSettings;

/// State of a breaker.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    AsRefStr,
    Display,
    EnumIter,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum BreakerState {
    /// Calls are allowed.
    #[default]
    Closed,
    /// Calls are refused until `open_until`.
    Open,
    /// One call at a time is allowed, to probe the gateway.
    HalfOpen,
}

/// A circuit breaker in its current state. The default is closed, without history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Breaker {
    /// Measured state. A hold by an operator overrides it.
    pub state: BreakerState,
    /// Number of times in a row that it opened without closing in between. The open time doubles with each.
    pub openings: i32,
    /// Time at which it last opened; null while closed.
    pub opened_at: Option<Instant>,
    /// Time from which probes are allowed; null while closed.
    pub open_until: Option<Instant>,
    /// Time at which it last closed after being open. Attempts before that no longer count (see [`Breaker::counts_from`]).
    pub closed_at: Option<Instant>,
    /// Number of probes that found the gateway alive since it last opened.
    pub half_open_successes: i32,
    /// The only call that may probe the gateway while half open.
    pub probe: Option<Probe>,
    /// Hold by an operator, which overrides the measured state.
    pub hold: Option<BreakerHold>,
}

/// A call that a half-open breaker allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Probe {
    /// The only attempt whose outcome counts.
    pub attempt: AttemptId,
    /// Deadline of the attempt. The lease expires then, so that a crashed probe does not block the next.
    pub until: Instant,
}

/// A hold of a breaker by an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BreakerHold {
    /// Direction of the hold.
    pub kind: HoldKind,
    /// Time at which the hold expires.
    pub until: Instant,
    /// Reason, as the operator entered it.
    pub reason: String,
}

/// Direction in which a breaker is held.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    AsRefStr,
    Display,
    EnumIter,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum HoldKind {
    /// Refuses all calls, independent of the measured state.
    ForceOpen,
    /// Allows all calls, independent of the measured state.
    ForceClosed,
}

/// Decision of a breaker about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The call may be made.
    Allowed,
    /// The call may be made if the caller can [`Breaker::lease`] the probe.
    Probe,
    /// The call must not be made.
    Refused {
        /// Time at which to try again, if known.
        until: Option<Instant>,
    },
}

/// A change of a breaker's state, to be stored and published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BreakerTransition {
    /// Previous state.
    pub from: BreakerState,
    /// New state.
    pub to: BreakerState,
    /// Reason for the change.
    pub why: Why,
}

/// Reason for a change of a breaker's state.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    AsRefStr,
    Display,
    EnumIter,
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
    /// The open time is over and a probe was allowed.
    ProbeStarted,
    /// The probe failed.
    ProbeFailed,
    /// Enough probes found the gateway alive.
    Recovered,
}

impl Breaker {
    /// Returns the hold in force at `now`.
    pub fn held(&self, now: Instant) -> Option<&BreakerHold> {
        self.hold.as_ref().filter(|hold| now < hold.until)
    }

    /// Returns the decision about a call at `now`.
    pub fn admit(&self, now: Instant) -> Admission {
        if let Some(hold) = self.held(now) {
            return match hold.kind {
                HoldKind::ForceClosed => Admission::Allowed,
                HoldKind::ForceOpen => Admission::Refused {
                    until: Some(hold.until),
                },
            };
        }
        let until = match self.state {
            BreakerState::Closed => return Admission::Allowed,
            BreakerState::Open => self.open_until,
            BreakerState::HalfOpen => self.probe.map(|probe| probe.until),
        };
        match until {
            Some(until) if now < until => Admission::Refused { until: Some(until) },
            _ => Admission::Probe,
        }
    }

    /// Makes `attempt` the probe until its deadline `until`, in the transaction that inserts it.
    ///
    /// The caller must hold the lock of the row that returned [`Admission::Probe`]: this ensures one
    /// probe at a time. After any other decision it changes nothing.
    pub fn lease(
        &mut self,
        attempt: AttemptId,
        until: Instant,
        now: Instant,
    ) -> Option<BreakerTransition> {
        if self.admit(now) != Admission::Probe {
            return None;
        }
        self.probe = Some(Probe { attempt, until });
        let opened = self.state == BreakerState::Open;
        opened.then(|| self.turn(BreakerState::HalfOpen, Why::ProbeStarted))
    }

    /// Returns the beginning of the window at `now`. Attempts that ended earlier must not count, and those
    /// before the breaker last closed have already been counted.
    pub fn counts_from(&self, settings: &BreakerSettings, now: Instant) -> Instant {
        let start = now
            .checked_sub_signed(settings.window())
            .unwrap_or(Instant::MIN_UTC);
        self.closed_at
            .map_or(start, |closed_at| start.max(closed_at))
    }

    /// Returns true if recording `call` at `now` changes nothing, independent of the window. The caller
    /// then need not read the window, nor lock or write the breaker's row.
    pub fn is_noop_for(&self, call: CallReport, now: Instant) -> bool {
        let counts = match self.state {
            BreakerState::Closed => {
                matches!(call.outcome, CallHealth::Failure | CallHealth::Denied)
            }
            BreakerState::Open => false,
            BreakerState::HalfOpen => self
                .probe
                .is_some_and(|probe| probe.attempt == call.attempt),
        };
        !counts || self.held(now).is_some()
    }

    /// Records the outcome of a call. Returns the change of state, if any. The row must be
    /// written unless [`Self::is_noop_for`] returns true.
    ///
    /// Calls that began before the breaker opened contain no new information, so only the probe's
    /// outcome counts until it closes again. Nothing counts while an operator holds it.
    pub fn record(
        &mut self,
        call: CallReport,
        window: &FailureWindow,
        settings: &BreakerSettings,
        now: Instant,
    ) -> Option<BreakerTransition> {
        if self.is_noop_for(call, now) {
            return None;
        }
        let alive = matches!(call.outcome, CallHealth::Success | CallHealth::Alive);
        if self.state == BreakerState::HalfOpen && alive {
            return self.probe_succeeded(settings, now);
        }
        let why = match (self.state, call.outcome) {
            (_, CallHealth::Denied) => Why::CredentialsDenied,
            (BreakerState::HalfOpen, _) => Why::ProbeFailed,
            _ => settings.opens_after(window)?,
        };
        Some(self.open(why, settings, now))
    }

    fn probe_succeeded(
        &mut self,
        settings: &BreakerSettings,
        now: Instant,
    ) -> Option<BreakerTransition> {
        self.probe = None;
        self.half_open_successes += 1;
        if self.half_open_successes < settings.half_open_successes {
            return None;
        }
        let transition = self.turn(BreakerState::Closed, Why::Recovered);
        let hold = self.hold.take();
        *self = Self {
            closed_at: Some(now),
            hold,
            ..Self::default()
        };
        Some(transition)
    }

    fn open(&mut self, why: Why, settings: &BreakerSettings, now: Instant) -> BreakerTransition {
        self.openings = self.openings.saturating_add(1);
        self.opened_at = Some(now);
        self.open_until = now.checked_add_signed(settings.open_for(self.openings));
        self.half_open_successes = 0;
        self.probe = None;
        self.turn(BreakerState::Open, why)
    }

    fn turn(&mut self, to: BreakerState, why: Why) -> BreakerTransition {
        let from = std::mem::replace(&mut self.state, to);
        BreakerTransition { from, to, why }
    }
}
