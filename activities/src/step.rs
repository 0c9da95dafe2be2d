//! Next step of a workflow. Ids and times only: Temporal stores it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ms;
use crate::retry::pace::{DOUBLINGS, FIRST_WAIT_MS, FREE_STEPS};

/// Next step of the workflow of a charge.
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

/// Next step of a workflow that repeats one activity: of a refund, an orphan, a delivery or an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub enum PollStep {
    /// Repeat it after a pause, or when woken. The other names are in histories that were recorded earlier.
    #[serde(alias = "sync", alias = "again")]
    Wait { after_ms: u64 },
    /// Nothing more is expected.
    Done,
}

impl PollStep {
    /// Repeat the activity now.
    pub const NOW: Self = Self::Wait { after_ms: 0 };

    /// Returns the step to repeat the activity after `pause`.
    pub fn wait(pause: Duration) -> Self {
        Self::Wait {
            after_ms: ms(pause),
        }
    }

    /// Returns the time that the workflow waits before it repeats the activity, in milliseconds.
    pub fn pause_ms(self) -> u64 {
        match self {
            Self::Wait { after_ms } => after_ms,
            Self::Done => 0,
        }
    }
}

/// Result of a workflow's step, and the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress<S = Step> {
    #[serde(flatten)]
    pub step: S,
    /// True if the step changed anything that the next one can see. Two consecutive steps without a change are followed by a wait.
    #[serde(default = "assume_change")]
    pub changed: bool,
}

/// Returns the default for steps that were recorded before `changed` existed.
fn assume_change() -> bool {
    true
}

impl<S> Progress<S> {
    /// Returns the progress after a step that changed something.
    pub fn changed(step: S) -> Self {
        Self {
            step,
            changed: true,
        }
    }

    /// Returns the progress after a step that changed nothing.
    pub fn unchanged(step: S) -> Self {
        Self {
            step,
            changed: false,
        }
    }
}

impl From<PollStep> for Progress<PollStep> {
    /// Returns the progress of an activity that always changes something, such as the time of its row's next check.
    fn from(step: PollStep) -> Self {
        Self::changed(step)
    }
}

/// Limiter that makes a workflow wait after steps that change nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    idle: u32,
}

impl Pace {
    /// Returns the time to wait after a step, beyond the pause before the next one.
    pub fn wait_ms(&mut self, changed: bool, pause_ms: u64) -> u64 {
        if changed || pause_ms >= FIRST_WAIT_MS {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_change_nothing_are_followed_by_growing_waits() {
        let mut pace = Pace::default();
        let waits: Vec<u64> = (0..5).map(|_| pace.wait_ms(false, 0)).collect();
        assert_eq!(waits, [0, 1_000, 2_000, 4_000, 8_000]);
        for _ in 0..100 {
            assert!(pace.wait_ms(false, 0) <= 64_000);
        }
        assert_eq!(pace.wait_ms(true, 0), 0);
        assert_eq!(pace.wait_ms(false, 0), 0, "a change starts over");
        assert_eq!(pace.wait_ms(false, 1_000), 0, "it waits by itself");
    }

    #[test]
    fn a_step_recorded_without_its_change_counts_as_one() {
        let recorded: Progress =
            serde_json::from_str(r#"{"next":"attempt","after_ms":0}"#).expect("a step");
        assert_eq!(recorded, Progress::changed(Step::ATTEMPT));
        let written = serde_json::to_string(&Progress::unchanged(Step::Cancel)).expect("JSON");
        assert_eq!(written, r#"{"next":"cancel","changed":false}"#);
    }
    #[test]
    fn steps_of_recorded_histories_are_read() {
        for recorded in ["wait", "sync", "again"] {
            let json = format!(r#"{{"next":"{recorded}","after_ms":7}}"#);
            let read: Progress<PollStep> = serde_json::from_str(&json).expect("a step");
            assert_eq!(read, Progress::changed(PollStep::Wait { after_ms: 7 }));
        }
        let done: PollStep = serde_json::from_str(r#"{"next":"done"}"#).expect("a step");
        assert_eq!(done, PollStep::Done);
    }
}
