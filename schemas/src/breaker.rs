//! The circuit breaker: when to stop asking a gateway that fails, and how to find out that it is well again.
//!
//! Pure: the store keeps one [`Breaker`] per connection and API family, the caller reads the
//! [`Window`] from the attempts and hands in the time.

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

/// What a breaker does with calls.
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
    pub state: BreakerState,
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
    pub hold: Option<BreakerHold>,
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
pub struct BreakerHold {
    /// Which way.
    pub kind: HoldKind,
    /// Lapses by itself here.
    pub until: Instant,
    /// Why, in the words of who did it.
    pub reason: String,
}

/// Which way a breaker is held.
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
    EnumString,
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

/// A change of a breaker's state, to be kept and published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BreakerTransition {
    /// What it was.
    pub from: BreakerState,
    /// What it is now.
    pub to: BreakerState,
    /// What made it change.
    pub why: Why,
}

/// What made a breaker change.
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
    /// Its open time is over and a probe was let through.
    ProbeStarted,
    /// The probe failed.
    ProbeFailed,
    /// Enough probes found the gateway alive.
    Recovered,
}

impl Breaker {
    /// The hold in force at `now`.
    pub fn held(&self, now: Instant) -> Option<&BreakerHold> {
        self.hold.as_ref().filter(|hold| now < hold.until)
    }

    /// Whether a call may be made at `now`.
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
    /// Only after [`Admission::Probe`] from this very row, under its lock: that is what keeps
    /// probes one at a time. On any other answer it changes nothing.
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

    /// The beginning of the window at `now`: attempts that ended earlier must not count, and those
    /// before the breaker last closed were judged already.
    pub fn counts_from(&self, settings: &BreakerSettings, now: Instant) -> Instant {
        let start = now
            .checked_sub_signed(settings.window())
            .unwrap_or(Instant::MIN_UTC);
        self.closed_at
            .map_or(start, |closed_at| start.max(closed_at))
    }

    /// Whether recording `call` at `now` changes nothing, whatever the window says: then neither
    /// the window need be read nor the breaker's row locked or written.
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

    /// Takes in how a call ended; the answer is the change of state, if any. The row must be
    /// written unless [`Self::is_noop_for`] says otherwise.
    ///
    /// Calls that began before the breaker opened say nothing new, so only the probe's outcome
    /// counts until it is closed again. Nothing counts while it is held by hand.
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
