//! What a workflow does next. Ids and times only: this is what Temporal stores.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ms;

/// What a charge's or a reconciliation's workflow does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub enum Step {
    /// Try a gateway, after a pause.
    Attempt { after_ms: u64 },
    /// Look at the row, after a pause or when poked.
    Look { after_ms: u64 },
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
    /// Look at the row now.
    pub const LOOK: Self = Self::Look { after_ms: 0 };

    /// Try a gateway after `pause`.
    pub fn attempt_after(pause: Duration) -> Self {
        Self::Attempt {
            after_ms: ms(pause),
        }
    }

    /// Look at the row after `pause`.
    pub fn look_after(pause: Duration) -> Self {
        Self::Look {
            after_ms: ms(pause),
        }
    }
}

/// What a delivery's or an endpoint's workflow does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub enum DeliveryStep {
    /// Try again after a pause, or when poked.
    Again { after_ms: u64 },
    /// Accepted, given up, discarded or parked; nothing to do for the endpoint.
    Done,
}
