//! The next step of a workflow. Ids and times only: this is what Temporal stores.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ms;

/// The next step of a charge's, a refund's or an orphan's workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub enum Step {
    /// Try a gateway, after a pause.
    Attempt { after_ms: u64 },
    /// Sync with the row and the gateways, after a pause or when woken.
    Sync { after_ms: u64 },
    /// The merchant wants it canceled: cancel it at its gateway.
    Cancel,
    /// Its time ran out: make it unpayable at its gateway.
    Expire,
    /// Nothing more is expected.
    Done,
}

impl Step {
    /// Try a gateway now.
    pub const ATTEMPT: Self = Self::Attempt { after_ms: 0 };
    /// Sync now.
    pub const SYNC: Self = Self::Sync { after_ms: 0 };

    /// Try a gateway after `pause`.
    pub fn attempt_after(pause: Duration) -> Self {
        Self::Attempt {
            after_ms: ms(pause),
        }
    }

    /// Sync after `pause`.
    pub fn check_after(pause: Duration) -> Self {
        Self::Sync {
            after_ms: ms(pause),
        }
    }

    /// How long the workflow waits before it takes the step.
    pub fn pause_ms(self) -> u64 {
        match self {
            Self::Attempt { after_ms } | Self::Sync { after_ms } => after_ms,
            Self::Cancel | Self::Expire | Self::Done => 0,
        }
    }
}

/// What a step of a workflow did, and the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    #[serde(flatten)]
    pub step: Step,
    /// Whether the step changed anything that the next one can see. Two steps in a row without a change are followed by a wait.
    #[serde(default = "assume_change")]
    pub changed: bool,
}

/// Steps that were recorded before `changed` existed.
fn assume_change() -> bool {
    true
}

impl Progress {
    /// After a step that changed something.
    pub fn changed(step: Step) -> Self {
        Self {
            step,
            changed: true,
        }
    }

    /// After a step that changed nothing.
    pub fn unchanged(step: Step) -> Self {
        Self {
            step,
            changed: false,
        }
    }
}

/// How many steps in a row may change nothing and wait for nothing.
const FREE_STEPS: u32 = 2;
/// The first wait after them, in milliseconds; it doubles.
const FIRST_WAIT_MS: u64 = 1_000;
/// How often the wait doubles.
const DOUBLINGS: u32 = 6;

/// Keeps a workflow from taking steps that change nothing without a pause.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    idle: u32,
}

impl Pace {
    /// How long to wait before the step that follows `done`, beyond the step's own pause.
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

/// The next step of a delivery's or an endpoint's workflow.
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
