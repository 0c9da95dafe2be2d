//! What goes wrong, on demand.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::sim::lock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Connections are refused.
    Down,
    /// Answered so, without an effect unless `after`.
    Status,
    /// A wait before the effect, or `after` it.
    Delay,
    /// The connection ends before the effect.
    ResetBefore,
    /// The connection ends after the effect, instead of an answer.
    ResetAfter,
    /// The effect happens, and half of the answer's body is sent.
    Malformed,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    pub kind: Kind,
    #[serde(default = "unavailable")]
    pub status: u16,
    #[serde(default)]
    pub delay_ms: u64,
    pub retry_after_s: Option<u64>,
    /// Only requests with this method.
    method: Option<String>,
    /// Only requests whose path begins so.
    path: Option<String>,
    /// So many matching requests pass before it begins.
    #[serde(default)]
    skip: u64,
    /// It ends after so many.
    times: Option<u64>,
    #[serde(default)]
    pub after: bool,
}

fn unavailable() -> u16 {
    503
}

/// All that is wrong now.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        lock(&self.0).push(fault);
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }

    pub(crate) fn all(&self) -> Vec<Fault> {
        lock(&self.0).clone()
    }

    /// What happens to this request; uses the faults up.
    pub(crate) fn of(&self, method: &str, path: &str) -> Vec<Fault> {
        let mut faults = lock(&self.0);
        let mut hit = Vec::new();
        for fault in faults.iter_mut() {
            let meant = fault
                .method
                .as_deref()
                .is_none_or(|wanted| wanted == method)
                && fault
                    .path
                    .as_deref()
                    .is_none_or(|prefix| path.starts_with(prefix));
            if !meant {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            hit.push(fault.clone());
            fault.times = fault.times.map(|times| times.saturating_sub(1));
        }
        faults.retain(|fault| fault.times != Some(0));
        hit
    }
}
