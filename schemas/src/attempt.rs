//! One try of a charge on one connection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{
    Instant,
    gateway::GatewayKind,
    id::{AttemptId, ConnectionId},
    route::RouteReason,
};

/// Where an attempt stands.
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
pub enum AttemptState {
    /// The gateway is being asked.
    Open,
    /// Its instrument is the one the payer may pay.
    Presented,
    /// The gateway refused the request itself.
    Rejected,
    /// The payer's means were declined.
    Declined,
    /// Definitely not created at the gateway.
    NotCreated,
    /// May exist at the gateway and must not be shown, until it is resolved.
    Abandoned,
    /// Existed and can no longer be paid.
    Voided,
    /// Established never to have existed.
    Absent,
    /// Money arrived on it.
    Paid,
}

impl AttemptState {
    /// Whether an attempt may go from here to `next`.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Open => !matches!(next, Self::Open | Self::Voided | Self::Absent),
            // abandoned: money came on another attempt, so this one is on its way to being voided
            Self::Presented => matches!(
                next,
                Self::Paid | Self::Voided | Self::Declined | Self::Abandoned
            ),
            Self::Abandoned => matches!(
                next,
                Self::Presented | Self::Voided | Self::Absent | Self::Paid
            ),
            // late money, or an instrument that is payable after all and has to be voided
            Self::Voided | Self::Absent | Self::Rejected | Self::Declined | Self::NotCreated => {
                matches!(next, Self::Paid | Self::Abandoned)
            }
            // the gateway took its receipt back
            Self::Paid => matches!(next, Self::Presented | Self::Abandoned | Self::Voided),
        }
    }

    /// Whether the next attempt may be opened.
    pub fn is_closed(self) -> bool {
        self != Self::Open
    }

    /// Whether our rows say that nothing payable exists at the gateway.
    pub fn is_gone(self) -> bool {
        matches!(
            self,
            Self::Voided | Self::Absent | Self::Rejected | Self::Declined | Self::NotCreated
        )
    }
}

// docs/gateways/README.md#error-classes
/// What a failed call to a gateway means for the next step.
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
pub enum ErrorClass {
    /// Nothing was sent or the gateway said that it did nothing: another gateway may be tried.
    NotCreated,
    /// It may have been created: it must be found out first.
    Unknown,
    /// This gateway definitely rejects the request: another may take it; the charge fails only when all have rejected it.
    Rejected,
    /// The payer's means were declined.
    Declined,
    /// Our credentials or permissions: try another and alert.
    Denied,
    /// Too many requests: try another, come back later.
    Throttled,
}

impl ErrorClass {
    /// Whether it says that the gateway is unwell, which is what a circuit breaker counts.
    pub fn counts_against_gateway(self) -> bool {
        matches!(
            self,
            Self::NotCreated | Self::Unknown | Self::Denied | Self::Throttled
        )
    }
}

/// An attempt as the timeline shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    pub id: AttemptId,
    /// Counts from 1 within the charge.
    pub n: i32,
    pub gateway: GatewayKind,
    pub connection: ConnectionId,
    /// Why this connection was chosen.
    pub reason: RouteReason,
    pub state: AttemptState,
    pub error: Option<AttemptError>,
    pub started_at: Instant,
    pub ended_at: Option<Instant>,
    /// How long the gateway took in all, in milliseconds.
    pub duration_ms: Option<i64>,
}

/// Why an attempt did not end well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptError {
    pub class: ErrorClass,
    /// The gateway's own code, or ours for what happened on the wire (`connect`, `timeout`, `reset`, `unreadable`).
    pub code: String,
    /// For people; never holds personal data or credentials.
    pub message: String,
}
