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
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, AsRefStr, Display, EnumIter,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
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
pub struct Candidate {
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
pub struct Plan {
    /// Try the first; after it failed, plan again.
    pub steps: Vec<Step>,
    /// The rest of the policy, in its order.
    pub excluded: Vec<Excluded>,
}

/// A connection to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// The connection.
    pub connection: ConnectionId,
    /// Why it is tried.
    pub reason: Reason,
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
pub fn plan(policy: &[Candidate], now: Instant) -> Plan {
    let mut plan = Plan::default();
    for (position, candidate) in policy.iter().enumerate() {
        let connection = candidate.connection;
        match candidate.judge(position, now) {
            Ok(reason) => plan.steps.push(Step { connection, reason }),
            Err(why) => plan.excluded.push(Excluded { connection, why }),
        }
    }
    if plan.steps.is_empty()
        && let Some(connection) = last_resort(policy, &plan.excluded)
    {
        plan.excluded.retain(|excluded| excluded.connection != connection);
        plan.steps.push(Step { connection, reason: Reason::LastResort });
    }
    plan
}

/// Of those kept out by nothing but their breakers, the one that opened first.
fn last_resort(policy: &[Candidate], excluded: &[Excluded]) -> Option<ConnectionId> {
    policy
        .iter()
        .zip(excluded)
        .filter(|(_, excluded)| matches!(excluded.why, Exclusion::BreakerOpen { .. }))
        .min_by_key(|(candidate, _)| candidate.breaker.opened_at)
        .map(|(candidate, _)| candidate.connection)
}

/// How many connections of a policy could take a charge, breakers and earlier tries aside.
pub fn eligible(policy: &[Candidate]) -> usize {
    policy.iter().filter(|candidate| candidate.status_active && candidate.unmet.is_empty()).count()
}

/// The active connections of a policy that could not take a charge, with what it lacks.
pub fn unmet_fallbacks(policy: &[Candidate]) -> Vec<Fallback> {
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

impl Candidate {
    fn judge(&self, position: usize, now: Instant) -> Result<Reason, Exclusion> {
        if !self.status_active {
            return Err(Exclusion::NotActive);
        }
        if !self.unmet.is_empty() {
            return Err(Exclusion::Unmet { unmet: self.unmet.clone() });
        }
        if self.tried {
            return Err(Exclusion::Tried);
        }
        match (self.breaker.admit(now), self.breaker.held(now)) {
            (Admission::Allowed, _) if position == 0 => Ok(Reason::Primary),
            (Admission::Allowed, _) => Ok(Reason::Fallback),
            (Admission::Probe, _) => Ok(Reason::Probe),
            (Admission::Refused { .. }, Some(hold)) => Err(Exclusion::Held { until: hold.until }),
            (Admission::Refused { until }, None) => Err(Exclusion::BreakerOpen { until }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::{Hold, HoldKind, Probe, State};
    use chrono::TimeDelta;
    use proptest::prelude::*;
    use uuid::Uuid;

    const NOW: Instant = Instant::UNIX_EPOCH;

    fn at(s: i64) -> Instant {
        NOW + TimeDelta::seconds(s)
    }

    fn candidate(n: u128) -> Candidate {
        Candidate {
            connection: Uuid::from_u128(n).into(),
            gateway: GatewayKind::Efi,
            status_active: true,
            breaker: Breaker::default(),
            unmet: Vec::new(),
            tried: false,
        }
    }

    fn open(opened_s: i64, until_s: i64) -> Breaker {
        Breaker {
            state: State::Open,
            openings: 1,
            opened_at: Some(at(opened_s)),
            open_until: Some(at(until_s)),
            ..Breaker::default()
        }
    }

    fn held(kind: HoldKind, breaker: Breaker) -> Breaker {
        Breaker { hold: Some(Hold { kind, until: at(60), reason: "maintenance".into() }), ..breaker }
    }

    fn unmet() -> Vec<Unmet> {
        vec![Unmet { field: "payer.email".into(), reason: "needed".into() }]
    }

    fn steps(policy: &[Candidate]) -> Vec<(ConnectionId, Reason)> {
        plan(policy, NOW).steps.iter().map(|step| (step.connection, step.reason)).collect()
    }

    #[test]
    fn a_healthy_policy_is_followed_in_its_order() {
        let policy = [candidate(3), candidate(1), candidate(2)];
        let [a, b, c] = policy.clone().map(|c| c.connection);
        assert_eq!(steps(&policy), [(a, Reason::Primary), (b, Reason::Fallback), (c, Reason::Fallback)]);
    }

    #[test]
    fn each_one_left_out_says_why() {
        let draining = Candidate { status_active: false, ..candidate(1) };
        let lacking = Candidate { unmet: unmet(), ..candidate(2) };
        let tried = Candidate { tried: true, ..candidate(3) };
        let held = Candidate { breaker: held(HoldKind::ForceOpen, Breaker::default()), ..candidate(4) };
        let broken = Candidate { breaker: open(-5, 25), ..candidate(5) };
        let plan = plan(&[draining, lacking, tried, held, broken, candidate(6)], NOW);
        let why: Vec<_> = plan.excluded.into_iter().map(|excluded| excluded.why).collect();
        assert_eq!(why, [
            Exclusion::NotActive,
            Exclusion::Unmet { unmet: unmet() },
            Exclusion::Tried,
            Exclusion::Held { until: at(60) },
            Exclusion::BreakerOpen { until: Some(at(25)) },
        ]);
        assert_eq!(plan.steps.len(), 1);
    }

    #[test]
    fn a_probe_keeps_its_place_in_the_policy() {
        let due = Candidate { breaker: open(-40, -10), ..candidate(1) };
        let (a, b) = (due.connection, candidate(2).connection);
        assert_eq!(steps(&[due, candidate(2)]), [(a, Reason::Probe), (b, Reason::Fallback)]);
    }

    #[test]
    fn a_connection_with_a_probe_under_way_is_passed_over() {
        let probe = Some(Probe { attempt: Uuid::from_u128(9).into(), until: at(8) });
        let breaker = Breaker { state: State::HalfOpen, probe, ..open(-40, -10) };
        let plan = plan(&[Candidate { breaker, ..candidate(1) }, candidate(2)], NOW);
        assert_eq!(plan.excluded[0].why, Exclusion::BreakerOpen { until: Some(at(8)) });
    }

    #[test]
    fn with_all_breakers_open_the_one_that_opened_first_is_tried() {
        let policy = [-10, -90, -20].map(|s| Candidate { breaker: open(s, 25), ..candidate(s.unsigned_abs().into()) });
        assert_eq!(steps(&policy), [(policy[1].connection, Reason::LastResort)]);
    }

    #[test]
    fn what_a_person_holds_open_is_no_last_resort_and_what_they_hold_closed_is_used() {
        let off = Candidate { breaker: held(HoldKind::ForceOpen, open(-90, 25)), ..candidate(1) };
        assert_eq!(steps(std::slice::from_ref(&off)), []);
        let on = Candidate { breaker: held(HoldKind::ForceClosed, open(-90, 25)), ..candidate(2) };
        assert_eq!(steps(&[off, on.clone()]), [(on.connection, Reason::Fallback)]);
    }

    #[test]
    fn fallbacks_list_what_a_charge_lacks() {
        let policy = [candidate(1), Candidate { unmet: unmet(), ..candidate(2) }];
        assert_eq!(eligible(&policy), 1);
        assert_eq!(unmet_fallbacks(&policy), [Fallback {
            connection: policy[1].connection,
            gateway: GatewayKind::Efi,
            unmet: unmet(),
        }]);
    }

    #[test]
    fn a_plan_survives_json() {
        let lacking = Candidate { unmet: unmet(), ..candidate(2) };
        let plan = plan(&[candidate(1), lacking], NOW);
        let json = serde_json::to_value(&plan).unwrap();
        assert_eq!(json["excluded"][0]["why"]["type"], "unmet");
        assert_eq!(serde_json::from_value::<Plan>(json).unwrap(), plan);
    }

    fn any_breaker() -> impl Strategy<Value = Breaker> {
        let measured = prop_oneof![
            Just(Breaker::default()),
            (-100..0_i64, -50..50_i64).prop_map(|(opened, until)| open(opened, until)),
            (-100..0_i64, -50..50_i64).prop_map(|(opened, until)| Breaker {
                state: State::HalfOpen,
                probe: Some(Probe { attempt: Uuid::nil().into(), until: at(until) }),
                ..open(opened, opened)
            }),
        ];
        (measured, 0..4).prop_map(|(breaker, hold)| match hold {
            0 => held(HoldKind::ForceOpen, breaker),
            1 => held(HoldKind::ForceClosed, breaker),
            _ => breaker,
        })
    }

    fn any_policy() -> impl Strategy<Value = Vec<Candidate>> {
        let one = (any_breaker(), any::<bool>(), any::<bool>(), any::<bool>());
        prop::collection::vec(one, 0..6).prop_map(|ones| {
            (1..).zip(ones).map(|(n, (breaker, status_active, met, tried))| Candidate {
                breaker, status_active, tried,
                unmet: if met { Vec::new() } else { unmet() },
                ..candidate(n)
            }).collect()
        })
    }

    proptest! {
        #[test]
        fn every_connection_is_in_the_plan_once_and_in_order(policy in any_policy()) {
            let plan = plan(&policy, NOW);
            let steps: Vec<_> = plan.steps.iter().map(|step| step.connection).collect();
            let excluded: Vec<_> = plan.excluded.iter().map(|excluded| excluded.connection).collect();
            let mut all = [steps.clone(), excluded.clone()].concat();
            all.sort();
            prop_assert_eq!(all, policy.iter().map(|c| c.connection).collect::<Vec<_>>());
            prop_assert!(steps.is_sorted() && excluded.is_sorted());
        }

        #[test]
        fn a_sale_is_given_up_only_where_nothing_may_be_asked(policy in any_policy()) {
            let usable = |c: &Candidate| c.status_active && c.unmet.is_empty() && !c.tried;
            let forced = |c: &Candidate| c.breaker.held(NOW).is_some_and(|h| h.kind == HoldKind::ForceOpen);
            let plan = plan(&policy, NOW);
            for step in &plan.steps {
                let chosen = policy.iter().find(|c| c.connection == step.connection).unwrap();
                prop_assert!(usable(chosen) && !forced(chosen));
                prop_assert_eq!(
                    matches!(chosen.breaker.admit(NOW), Admission::Refused { .. }),
                    step.reason == Reason::LastResort
                );
            }
            prop_assert_eq!(plan.steps.is_empty(), !policy.iter().any(|c| usable(c) && !forced(c)));
        }
    }
}
