//! Next step of a workflow. Ids and times only: Temporal stores it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ms;

/// Next step of the workflow of a charge, a refund or an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub enum Step {
    /// Try a gateway, after a pause.
    Attempt { after_ms: u64 },
    /// Sync with the row and the gateways, after a pause or when woken.
    Sync { after_ms: u64 },
    /// The merchant canceled it: cancel it at its gateway.
    Cancel,
    /// It expired: make it unpayable at its gateway.
    Expire,
    /// Nothing more is expected.
    Done,
}

impl Step {
    /// Try a gateway now.
    pub const ATTEMPT: Self = Self::Attempt { after_ms: 0 };
    /// Sync now.
    pub const SYNC: Self = Self::Sync { after_ms: 0 };

    /// Returns the step to try a gateway after `pause`.
    pub fn attempt_after(pause: Duration) -> Self {
        Self::Attempt {
            after_ms: ms(pause),
        }
    }

    /// Returns the step to sync after `pause`.
    pub fn check_after(pause: Duration) -> Self {
        Self::Sync {
            after_ms: ms(pause),
        }
    }

    /// Returns the time that the workflow waits before it takes the step, in milliseconds.
    pub fn pause_ms(self) -> u64 {
        match self {
            Self::Attempt { after_ms } | Self::Sync { after_ms } => after_ms,
            Self::Cancel | Self::Expire | Self::Done => 0,
        }
    }
}

/// Result of a workflow's step, and the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    #[serde(flatten)]
    pub step: Step,
    /// True if the step changed anything that the next one can see. Two consecutive steps without a change are followed by a wait.
    #[serde(default = "assume_change")]
    pub changed: bool,
}

/// Returns the default for steps that were recorded before `changed` existed.
fn assume_change() -> bool {
    true
}

impl Progress {
    /// Returns the progress after a step that changed something.
    pub fn changed(step: Step) -> Self {
        Self {
            step,
            changed: true,
        }
    }

    /// Returns the progress after a step that changed nothing.
    pub fn unchanged(step: Step) -> Self {
        Self {
            step,
            changed: false,
        }
    }
}

/// Number of consecutive steps that may change nothing without a wait.
const FREE_STEPS: u32 = 2;
/// First wait after them, in milliseconds; it doubles.
const FIRST_WAIT_MS: u64 = 1_000;
/// Number of times that the wait doubles.
const DOUBLINGS: u32 = 6;

/// Limiter that makes a workflow wait after steps that change nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    idle: u32,
}

impl Pace {
    /// Returns the time to wait before the step that follows `done`, beyond the step's own pause.
    pub fn wait_ms(&mut self, done: Progress) -> u64 {
        if done.changed || done.step.pause_ms() >= FIRST_WAIT_MS {
            self.idle = 0;
            return 0;
        }
        self.idle = self.idle.saturating_add(1);
        match self.idle.checked_sub(FREE_STEPS) {
            Some(extra) => FIRST_WAIT_MS << extra.min(DOUBLINGS),
            None => 0,
        }
    }
}

/// Next step of the workflow of a delivery or an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub enum DeliveryStep {
    /// Try again after a pause, or when woken.
    Again { after_ms: u64 },
    /// Accepted, given up, discarded or parked; nothing to do for the endpoint.
    Done,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_change_nothing_are_followed_by_growing_waits() {
        let mut pace = Pace::default();
        let idle = Progress::unchanged(Step::SYNC);
        let waits: Vec<u64> = (0..5).map(|_| pace.wait_ms(idle)).collect();
        assert_eq!(waits, [0, 1_000, 2_000, 4_000, 8_000]);
        for _ in 0..100 {
            assert!(pace.wait_ms(idle) <= 64_000);
        }
        assert_eq!(pace.wait_ms(Progress::changed(Step::SYNC)), 0);
        assert_eq!(pace.wait_ms(idle), 0, "a change starts over");
    }

    #[test]
    fn a_step_recorded_without_its_change_counts_as_one() {
        let recorded: Progress =
            serde_json::from_str(r#"{"next":"attempt","after_ms":0}"#).expect("a step");
        assert_eq!(recorded, Progress::changed(Step::ATTEMPT));
        let written = serde_json::to_string(&Progress::unchanged(Step::Cancel)).expect("JSON");
        assert_eq!(written, r#"{"next":"cancel","changed":false}"#);
    }
}
