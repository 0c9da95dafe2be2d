//! Which connection a charge is tried on next, and why not the others.

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

/// Something that a connection needs and a charge lacks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Unmet {
    /// The request's field, as a path: `payer.email`.
    pub field: String,
    /// What the gateway wants of it, for people.
    pub reason: String,
}

/// A connection that could not have taken a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fallback {
    /// The connection.
    pub connection: ConnectionId,
    /// Its gateway.
    pub gateway: GatewayKind,
    /// What the charge lacks for it.
    pub unmet: Vec<Unmet>,
}

/// Why a connection was chosen.
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
    /// Those before it in the policy could not be used.
    Fallback,
    /// Its breaker is half open: this attempt finds out whether the gateway is well again.
    Probe,
    /// All breakers are open; this one opened longest ago. Refusing a sale is worse than trying.
    LastResort,
}

/// A connection of the routing policy, with all that decides whether it can take the charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteCandidate {
    /// The connection.
    pub connection: ConnectionId,
    /// Its gateway.
    pub gateway: GatewayKind,
    /// Neither draining nor archived.
    pub status_active: bool,
    /// Its breaker for the API family that serves the charge's method.
    pub breaker: Breaker,
    /// What the charge lacks here; empty: it could be taken.
    pub unmet: Vec<Unmet>,
    /// Whether the charge was tried here before.
    pub tried: bool,
}

/// The connections to try in this order, and those that are out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutePlan {
    /// Try the first; after it failed, plan again.
    pub steps: Vec<RouteStep>,
    /// The rest of the policy, in its order.
    pub excluded: Vec<Excluded>,
}

/// A connection to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteStep {
    /// The connection.
    pub connection: ConnectionId,
    /// Why it is tried.
    pub reason: RouteReason,
}

/// A connection that is not tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Excluded {
    /// The connection.
    pub connection: ConnectionId,
    /// Why not.
    pub why: Exclusion,
}

/// Why a connection is not tried. Where several reasons hold, the one that lasts longest is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, AsRefStr)]
#[serde(tag = "type", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Exclusion {
    /// It is draining or archived.
    NotActive,
    /// The charge lacks what it needs.
    Unmet {
        /// What the charge lacks.
        unmet: Vec<Unmet>,
    },
    /// The charge was tried here before.
    Tried,
    /// Its breaker is held open by hand.
    Held {
        /// Until when.
        until: Instant,
    },
    /// Its breaker is open, or half open with a probe under way.
    BreakerOpen {
        /// When it may be asked again, if known.
        until: Option<Instant>,
    },
}

/// Plans the route of a charge: the policy's order, filtered by what each connection accepts, what was
/// tried, and the breakers.
///
/// A half-open connection keeps its place: its step is a probe, to be leased when it is taken. Where only
/// open breakers are left, none of them held by hand, the one that opened longest ago is the last resort.
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

/// Of those kept out by nothing but their breakers, the one that opened first.
fn last_resort(policy: &[RouteCandidate], excluded: &[Excluded]) -> Option<ConnectionId> {
    policy
        .iter()
        .zip(excluded)
        .filter(|(_, excluded)| matches!(excluded.why, Exclusion::BreakerOpen { .. }))
        .min_by_key(|(candidate, _)| candidate.breaker.opened_at)
        .map(|(candidate, _)| candidate.connection)
}

/// How many connections of a policy could take a charge, breakers and earlier tries aside.
pub fn eligible(policy: &[RouteCandidate]) -> usize {
    policy
        .iter()
        .filter(|candidate| candidate.status_active && candidate.unmet.is_empty())
        .count()
}

/// The active connections of a policy that could not take a charge, with what it lacks.
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
