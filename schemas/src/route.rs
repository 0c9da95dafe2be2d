//! Routing: the order in which a charge is tried on connections, and the reasons for excluding others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

use crate::{
    Instant,
    breaker::{Admission, Breaker},
    gateway::GatewayKind,
    id::ConnectionId,
};

#[cfg(test)]
mod tests;

/// A requirement of a connection that a charge does not meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Unmet {
    /// Field of the request, as a path: `payer.email`.
    pub field: String,
    /// Human-readable requirement of the gateway.
    pub reason: String,
}

/// A connection that cannot take a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fallback {
    /// The connection.
    pub connection: ConnectionId,
    /// Its gateway.
    pub gateway: GatewayKind,
    /// Requirements that the charge does not meet.
    pub unmet: Vec<Unmet>,
}

/// Reason for choosing a connection.
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
pub enum RouteReason {
    /// It is the first of the routing policy.
    Primary,
    /// The connections before it in the policy could not be used.
    Fallback,
    /// Its breaker is half open. This attempt tests if the gateway is healthy again.
    Probe,
    /// All breakers are open, and this one opened longest ago. It is tried rather than refusing the sale.
    LastResort,
}

/// A connection of the routing policy, with the facts that decide if it can take the charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteCandidate {
    /// The connection.
    pub connection: ConnectionId,
    /// Its gateway.
    pub gateway: GatewayKind,
    /// True if it is neither draining nor archived.
    pub status_active: bool,
    /// Its breaker for the gateway API that serves the charge's method.
    pub breaker: Breaker,
    /// Requirements that the charge does not meet. If empty, the connection can take the charge.
    pub unmet: Vec<Unmet>,
    /// True if the charge was already tried on this connection.
    pub tried: bool,
}

/// The connections to try, in order, and the excluded ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutePlan {
    /// Connections to try. The caller tries the first and plans again if it fails.
    pub steps: Vec<RouteStep>,
    /// The other connections of the policy, in its order.
    pub excluded: Vec<Excluded>,
}

/// A connection to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteStep {
    /// The connection.
    pub connection: ConnectionId,
    /// Reason for trying it.
    pub reason: RouteReason,
}

/// A connection that is not tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Excluded {
    /// The connection.
    pub connection: ConnectionId,
    /// Reason for not trying it.
    pub why: Exclusion,
}

/// Reason for not trying a connection. If several apply, the one that lasts longest is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, AsRefStr)]
#[serde(tag = "type", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Exclusion {
    /// It is draining or archived.
    NotActive,
    /// The charge does not meet its requirements.
    Unmet {
        /// Requirements that the charge does not meet.
        unmet: Vec<Unmet>,
    },
    /// The charge was already tried on this connection.
    Tried,
    /// An operator holds its breaker open.
    Held {
        /// Time at which the hold expires.
        until: Instant,
    },
    /// Its breaker is open, or half open with a probe in progress.
    BreakerOpen {
        /// Time at which it may be tried again, if known.
        until: Option<Instant>,
    },
}

/// Plans the route of a charge: the policy's order, filtered by the requirements of each connection, the
/// earlier attempts and the breakers.
///
/// A half-open connection stays in its position: its step is a probe, which must be leased when the step is
/// taken. If only open breakers are left, the one that opened longest ago and is not held by an operator is
/// the last resort.
pub fn plan(policy: &[RouteCandidate], now: Instant) -> RoutePlan {
    let mut plan = RoutePlan::default();
    for (position, candidate) in policy.iter().enumerate() {
        let connection = candidate.connection;
        match candidate.judge(position, now) {
            Ok(reason) => plan.steps.push(RouteStep { connection, reason }),
            Err(why) => plan.excluded.push(Excluded { connection, why }),
        }
    }
    if plan.steps.is_empty()
        && let Some(connection) = last_resort(policy, &plan.excluded)
    {
        plan.excluded
            .retain(|excluded| excluded.connection != connection);
        plan.steps.push(RouteStep {
            connection,
            reason: RouteReason::LastResort,
        });
    }
    plan
}

/// Returns the connection whose breaker opened first, of those that only their breakers exclude.
fn last_resort(policy: &[RouteCandidate], excluded: &[Excluded]) -> Option<ConnectionId> {
    policy
        .iter()
        .zip(excluded)
        .filter(|(_, excluded)| matches!(excluded.why, Exclusion::BreakerOpen { .. }))
        .min_by_key(|(candidate, _)| candidate.breaker.opened_at)
        .map(|(candidate, _)| candidate.connection)
}

/// Returns the number of connections of a policy that can take a charge, ignoring breakers and earlier attempts.
pub fn eligible(policy: &[RouteCandidate]) -> usize {
    policy
        .iter()
        .filter(|candidate| candidate.status_active && candidate.unmet.is_empty())
        .count()
}

/// Returns the active connections of a policy that cannot take a charge, with the requirements that the charge does not meet.
pub fn unmet_fallbacks(policy: &[RouteCandidate]) -> Vec<Fallback> {
    policy
        .iter()
        .filter(|candidate| candidate.status_active && !candidate.unmet.is_empty())
        .map(|candidate| Fallback {
            connection: candidate.connection,
            gateway: candidate.gateway,
            unmet: candidate.unmet.clone(),
        })
        .collect()
}

impl RouteCandidate {
    fn judge(&self, position: usize, now: Instant) -> Result<RouteReason, Exclusion> {
        if !self.status_active {
            return Err(Exclusion::NotActive);
        }
        if !self.unmet.is_empty() {
            return Err(Exclusion::Unmet {
                unmet: self.unmet.clone(),
            });
        }
        if self.tried {
            return Err(Exclusion::Tried);
        }
        match (self.breaker.admit(now), self.breaker.held(now)) {
            (Admission::Allowed, _) if position == 0 => Ok(RouteReason::Primary),
            (Admission::Allowed, _) => Ok(RouteReason::Fallback),
            (Admission::Probe, _) => Ok(RouteReason::Probe),
            (Admission::Refused { .. }, Some(hold)) => Err(Exclusion::Held { until: hold.until }),
            (Admission::Refused { until }, None) => Err(Exclusion::BreakerOpen { until }),
        }
    }
}
