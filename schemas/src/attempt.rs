//! Attempts: tries of a charge on one connection each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{
    Instant,
    gateway::GatewayKind,
    id::{AttemptId, ConnectionId},
    route::RouteReason,
};

/// State of an attempt.
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
    /// The call to the gateway is not finished.
    Open,
    /// Its instrument is the one that the payer may pay.
    Presented,
    /// The gateway rejected the request itself.
    Rejected,
    /// The payer's means of payment were declined.
    Declined,
    /// Definitely not created at the gateway.
    NotCreated,
    /// May exist at the gateway and must not be shown until it is resolved.
    Abandoned,
    /// Existed and can no longer be paid.
    Voided,
    /// Proved never to have existed at the gateway.
    Absent,
    /// Received a payment.
    Paid,
}

impl AttemptState {
    /// Returns true if an attempt may change from this state to `next`.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Open => !matches!(next, Self::Open | Self::Voided | Self::Absent),
            // abandoned: another attempt received the payment, so this one must be voided
            Self::Presented => matches!(
                next,
                Self::Paid | Self::Voided | Self::Declined | Self::Abandoned
            ),
            Self::Abandoned => matches!(
                next,
                Self::Presented | Self::Voided | Self::Absent | Self::Paid
            ),
            // a late payment, or an instrument that turned out to be payable and must be voided
            Self::Voided | Self::Absent | Self::Rejected | Self::Declined | Self::NotCreated => {
                matches!(next, Self::Paid | Self::Abandoned)
            }
            // the gateway reversed the payment
            Self::Paid => matches!(next, Self::Presented | Self::Abandoned | Self::Voided),
        }
    }

    /// Returns true if the next attempt may be opened.
    pub fn is_closed(self) -> bool {
        self != Self::Open
    }

    /// Returns true if, according to our records, nothing payable exists at the gateway.
    pub fn is_gone(self) -> bool {
        matches!(
            self,
            Self::Voided | Self::Absent | Self::Rejected | Self::Declined | Self::NotCreated
        )
    }
}

// see docs/gateways/README.md#error-classes
/// Class of a failed call to a gateway. It determines the next step.
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
    /// Nothing was sent, or the gateway reported that it created nothing. Another gateway may be tried.
    NotCreated,
    /// The charge may have been created. It must be looked up first.
    Unknown,
    /// This gateway definitely rejects the request. Another gateway may accept it; the charge fails only when all have rejected it.
    Rejected,
    /// The payer's means of payment were declined.
    Declined,
    /// The gateway refused our credentials or permissions. Another gateway is tried and the merchant is alerted.
    Denied,
    /// Too many requests. Another gateway is tried; this one can be called again later.
    Throttled,
}

impl ErrorClass {
    /// Returns true if the error indicates an unhealthy gateway. A circuit breaker counts such errors.
    pub fn counts_against_gateway(self) -> bool {
        matches!(
            self,
            Self::NotCreated | Self::Unknown | Self::Denied | Self::Throttled
        )
    }
}

/// An attempt, as listed in a charge's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    pub id: AttemptId,
    /// Number of the attempt within the charge, from 1.
    pub n: i32,
    pub gateway: GatewayKind,
    pub connection: ConnectionId,
    /// Reason for choosing this connection.
    pub reason: RouteReason,
    pub state: AttemptState,
    pub error: Option<AttemptError>,
    pub started_at: Instant,
    pub ended_at: Option<Instant>,
    /// Total response time of the gateway, in milliseconds.
    pub duration_ms: Option<i64>,
}

/// Error that an attempt ended with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptError {
    pub class: ErrorClass,
    /// The gateway's own code, or ours for a network error (`connect`, `timeout`, `reset`, `unreadable`).
    pub code: String,
    /// Human-readable message. Never contains personal data or credentials.
    pub message: String,
}
