use super::*;
use crate::breaker::{BreakerHold, BreakerState, HoldKind, Probe};
use chrono::TimeDelta;
use proptest::prelude::*;
use uuid::Uuid;

const NOW: Instant = Instant::UNIX_EPOCH;

fn at(s: i64) -> Instant {
    NOW + TimeDelta::seconds(s)
}

fn candidate(n: u128) -> RouteCandidate {
    RouteCandidate {
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
        state: BreakerState::Open,
        openings: 1,
        opened_at: Some(at(opened_s)),
        open_until: Some(at(until_s)),
        ..Breaker::default()
    }
}

fn held(kind: HoldKind, mut breaker: Breaker) -> Breaker {
    let (until, reason) = (at(60), "maintenance".into());
    breaker.hold = Some(BreakerHold {
        kind,
        until,
        reason,
    });
    breaker
}

fn unmet() -> Vec<Unmet> {
    vec![Unmet {
        field: "payer.email".into(),
        reason: "needed".into(),
    }]
}

fn steps(policy: &[RouteCandidate]) -> Vec<(ConnectionId, RouteReason)> {
    plan(policy, NOW)
        .steps
        .iter()
        .map(|step| (step.connection, step.reason))
        .collect()
}

#[test]
fn a_healthy_policy_is_followed_in_its_order() {
    let policy = [candidate(3), candidate(1), candidate(2)];
    let [a, b, c] = policy.clone().map(|c| c.connection);
    assert_eq!(
        steps(&policy),
        [
            (a, RouteReason::Primary),
            (b, RouteReason::Fallback),
            (c, RouteReason::Fallback)
        ]
    );
}

#[test]
fn each_one_left_out_has_its_reason() {
    let draining = RouteCandidate {
        status_active: false,
        ..candidate(1)
    };
    let lacking = RouteCandidate {
        unmet: unmet(),
        ..candidate(2)
    };
    let tried = RouteCandidate {
        tried: true,
        ..candidate(3)
    };
    let held = RouteCandidate {
        breaker: held(HoldKind::ForceOpen, Breaker::default()),
        ..candidate(4)
    };
    let broken = RouteCandidate {
        breaker: open(-5, 25),
        ..candidate(5)
    };
    let plan = plan(&[draining, lacking, tried, held, broken, candidate(6)], NOW);
    let why: Vec<_> = plan
        .excluded
        .into_iter()
        .map(|excluded| excluded.why)
        .collect();
    assert_eq!(
        why,
        [
            Exclusion::NotActive,
            Exclusion::Unmet { unmet: unmet() },
            Exclusion::Tried,
            Exclusion::Held { until: at(60) },
            Exclusion::BreakerOpen {
                until: Some(at(25))
            },
        ]
    );
    assert_eq!(plan.steps.len(), 1);
}

#[test]
fn a_probe_keeps_its_place_in_the_policy() {
    let due = RouteCandidate {
        breaker: open(-40, -10),
        ..candidate(1)
    };
    let (a, b) = (due.connection, candidate(2).connection);
    assert_eq!(
        steps(&[due, candidate(2)]),
        [(a, RouteReason::Probe), (b, RouteReason::Fallback)]
    );
}

#[test]
fn a_connection_with_a_probe_under_way_is_passed_over() {
    let probe = Some(Probe {
        attempt: Uuid::from_u128(9).into(),
        until: at(8),
    });
    let breaker = Breaker {
        state: BreakerState::HalfOpen,
        probe,
        ..open(-40, -10)
    };
    let plan = plan(
        &[
            RouteCandidate {
                breaker,
                ..candidate(1)
            },
            candidate(2),
        ],
        NOW,
    );
    assert_eq!(
        plan.excluded[0].why,
        Exclusion::BreakerOpen { until: Some(at(8)) }
    );
}

#[test]
fn with_all_breakers_open_the_one_that_opened_first_is_tried() {
    let policy = [-10, -90, -20].map(|s| RouteCandidate {
        breaker: open(s, 25),
        ..candidate(s.unsigned_abs().into())
    });
    assert_eq!(
        steps(&policy),
        [(policy[1].connection, RouteReason::LastResort)]
    );
}

#[test]
fn what_a_person_holds_open_is_no_last_resort_and_what_they_hold_closed_is_used() {
    let off = RouteCandidate {
        breaker: held(HoldKind::ForceOpen, open(-90, 25)),
        ..candidate(1)
    };
    assert_eq!(steps(std::slice::from_ref(&off)), []);
    let on = RouteCandidate {
        breaker: held(HoldKind::ForceClosed, open(-90, 25)),
        ..candidate(2)
    };
    assert_eq!(
        steps(&[off, on.clone()]),
        [(on.connection, RouteReason::Fallback)]
    );
}

#[test]
fn fallbacks_list_what_a_charge_lacks() {
    let policy = [
        candidate(1),
        RouteCandidate {
            unmet: unmet(),
            ..candidate(2)
        },
    ];
    assert_eq!(eligible(&policy), 1);
    assert_eq!(
        unmet_fallbacks(&policy),
        [Fallback {
            connection: policy[1].connection,
            gateway: GatewayKind::Efi,
            unmet: unmet(),
        }]
    );
}

#[test]
fn a_plan_survives_json() {
    let lacking = RouteCandidate {
        unmet: unmet(),
        ..candidate(2)
    };
    let plan = plan(&[candidate(1), lacking], NOW);
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["excluded"][0]["why"]["type"], "unmet");
    assert_eq!(serde_json::from_value::<RoutePlan>(json).unwrap(), plan);
}

fn any_breaker() -> impl Strategy<Value = Breaker> {
    let measured = prop_oneof![
        Just(Breaker::default()),
        (-100..0_i64, -50..50_i64).prop_map(|(opened, until)| open(opened, until)),
        (-100..0_i64, -50..50_i64).prop_map(|(opened, until)| Breaker {
            state: BreakerState::HalfOpen,
            probe: Some(Probe {
                attempt: Uuid::nil().into(),
                until: at(until)
            }),
            ..open(opened, opened)
        }),
    ];
    (measured, 0..4).prop_map(|(breaker, hold)| match hold {
        0 => held(HoldKind::ForceOpen, breaker),
        1 => held(HoldKind::ForceClosed, breaker),
        _ => breaker,
    })
}

fn any_policy() -> impl Strategy<Value = Vec<RouteCandidate>> {
    let one = (any_breaker(), any::<bool>(), any::<bool>(), any::<bool>());
    prop::collection::vec(one, 0..6).prop_map(|ones| {
        (1..)
            .zip(ones)
            .map(|(n, (breaker, status_active, met, tried))| RouteCandidate {
                breaker,
                status_active,
                tried,
                unmet: if met { Vec::new() } else { unmet() },
                ..candidate(n)
            })
            .collect()
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
        let usable = |c: &RouteCandidate| c.status_active && c.unmet.is_empty() && !c.tried;
        let forced = |c: &RouteCandidate| c.breaker.held(NOW).is_some_and(|h| h.kind == HoldKind::ForceOpen);
        let plan = plan(&policy, NOW);
        for step in &plan.steps {
            let chosen = policy.iter().find(|c| c.connection == step.connection).unwrap();
            prop_assert!(usable(chosen) && !forced(chosen));
            prop_assert_eq!(
                matches!(chosen.breaker.admit(NOW), Admission::Refused { .. }),
                step.reason == RouteReason::LastResort
            );
        }
        prop_assert_eq!(plan.steps.is_empty(), !policy.iter().any(|c| usable(c) && !forced(c)));
    }
}
