use std::collections::VecDeque;

use chrono::TimeDelta;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::attempt::ErrorClass;

fn at(s: i64) -> Instant {
    Instant::UNIX_EPOCH + TimeDelta::seconds(s)
}

fn id(n: u128) -> AttemptId {
    Uuid::from_u128(n).into()
}

fn call(n: u128, outcome: CallHealth) -> CallReport {
    CallReport {
        attempt: id(n),
        outcome,
    }
}

fn failures(n: i32) -> FailureWindow {
    FailureWindow {
        attempts: n,
        failures: n,
        consecutive_failures: n,
    }
}

/// Returns a breaker that opened at second 0 after five failures in a row.
fn opened() -> Breaker {
    let mut breaker = Breaker::default();
    let transition = record(&mut breaker, call(1, CallHealth::Failure), 5, 0);
    assert_eq!(transition.map(|t| t.why), Some(Why::ConsecutiveFailures));
    breaker
}

fn record(
    breaker: &mut Breaker,
    call: CallReport,
    failed: i32,
    s: i64,
) -> Option<BreakerTransition> {
    breaker.record(call, &failures(failed), &BreakerSettings::default(), at(s))
}

/// Leases a probe and records its outcome, both at second `s`.
fn probe(breaker: &mut Breaker, outcome: CallHealth, s: i64) -> Option<BreakerTransition> {
    breaker.lease(id(7), at(s + 8), at(s));
    record(breaker, call(7, outcome), 1, s)
}

#[test]
fn successes_and_refusals_change_nothing_on_a_closed_breaker() {
    for outcome in [CallHealth::Success, CallHealth::Alive] {
        let mut breaker = Breaker::default();
        assert!(breaker.is_noop_for(call(1, outcome), at(0)));
        assert_eq!(record(&mut breaker, call(1, outcome), 50, 0), None);
        assert_eq!(breaker, Breaker::default());
    }
}

#[test]
fn it_opens_at_five_failures_in_a_row_or_half_of_ten() {
    let settings = BreakerSettings::default();
    let window = |attempts, failures, consecutive_failures| FailureWindow {
        attempts,
        failures,
        consecutive_failures,
    };
    for (window, why) in [
        (window(4, 4, 4), None),
        (window(5, 5, 5), Some(Why::ConsecutiveFailures)),
        (window(9, 8, 4), None),
        (window(10, 5, 1), Some(Why::FailureRate)),
        (window(11, 5, 4), None),
    ] {
        let mut breaker = Breaker::default();
        let transition = breaker.record(call(1, CallHealth::Failure), &window, &settings, at(0));
        assert_eq!(transition.map(|t| t.why), why, "{window:?}");
    }
}

#[test]
fn refused_credentials_open_it_at_once() {
    let mut breaker = Breaker::default();
    let transition = record(&mut breaker, call(1, CallHealth::Denied), 1, 0);
    let expected = BreakerTransition {
        from: BreakerState::Closed,
        to: BreakerState::Open,
        why: Why::CredentialsDenied,
    };
    assert_eq!(transition, Some(expected));
}

#[test]
fn it_keeps_calls_away_until_its_time_is_over_then_asks_for_one_probe() {
    let mut breaker = opened();
    assert_eq!(
        breaker.admit(at(29)),
        Admission::Refused {
            until: Some(at(30))
        }
    );
    assert_eq!(breaker.lease(id(2), at(37), at(29)), None);
    assert_eq!(breaker.state, BreakerState::Open);

    assert_eq!(breaker.admit(at(30)), Admission::Probe);
    let transition = breaker.lease(id(2), at(38), at(30));
    assert_eq!(
        transition.map(|t| (t.from, t.to)),
        Some((BreakerState::Open, BreakerState::HalfOpen))
    );
    assert_eq!(
        breaker.admit(at(31)),
        Admission::Refused {
            until: Some(at(38))
        }
    );
    assert_eq!(breaker.lease(id(3), at(39), at(31)), None);
    assert_eq!(breaker.probe.map(|probe| probe.attempt), Some(id(2)));
}

#[test]
fn a_probe_that_never_answers_lapses_and_its_late_answer_is_ignored() {
    let mut breaker = opened();
    breaker.lease(id(2), at(38), at(30));
    assert_eq!(breaker.admit(at(38)), Admission::Probe);
    assert_eq!(breaker.lease(id(3), at(46), at(38)), None);
    assert_eq!(
        record(&mut breaker, call(2, CallHealth::Failure), 9, 39),
        None
    );
    assert_eq!(
        (breaker.state, breaker.probe.map(|p| p.attempt)),
        (BreakerState::HalfOpen, Some(id(3)))
    );
}

#[test]
fn three_probes_that_prove_the_gateway_alive_close_it() {
    let mut breaker = opened();
    assert_eq!(probe(&mut breaker, CallHealth::Success, 30), None);
    assert_eq!(probe(&mut breaker, CallHealth::Alive, 31), None);
    let transition = probe(&mut breaker, CallHealth::Success, 32);
    let expected = BreakerTransition {
        from: BreakerState::HalfOpen,
        to: BreakerState::Closed,
        why: Why::Recovered,
    };
    assert_eq!(transition, Some(expected));
    assert_eq!(
        breaker,
        Breaker {
            closed_at: Some(at(32)),
            ..Breaker::default()
        }
    );
    assert_eq!(
        breaker.counts_from(&BreakerSettings::default(), at(40)),
        at(32)
    );
    assert_eq!(
        breaker.counts_from(&BreakerSettings::default(), at(100)),
        at(40)
    );
}

#[test]
fn failed_probes_double_the_open_time_up_to_ten_minutes() {
    let mut breaker = opened();
    let mut open_for_s = Vec::new();
    for _ in 0..7 {
        let (from, until) = (breaker.opened_at.unwrap(), breaker.open_until.unwrap());
        open_for_s.push((until - from).num_seconds());
        let transition = probe(&mut breaker, CallHealth::Failure, until.timestamp());
        assert_eq!(transition.map(|t| t.why), Some(Why::ProbeFailed));
    }
    assert_eq!(open_for_s, [30, 60, 120, 240, 480, 600, 600]);
}

#[test]
fn a_failed_probe_takes_back_the_earlier_successes() {
    let mut breaker = opened();
    for outcome in [
        CallHealth::Success,
        CallHealth::Success,
        CallHealth::Failure,
    ] {
        probe(&mut breaker, outcome, 30);
    }
    assert_eq!(
        (breaker.state, breaker.half_open_successes),
        (BreakerState::Open, 0)
    );
}

#[test]
fn calls_begun_before_it_opened_neither_close_nor_prolong_it() {
    for outcome in [
        CallHealth::Success,
        CallHealth::Alive,
        CallHealth::Failure,
        CallHealth::Denied,
    ] {
        let mut breaker = opened();
        let before = breaker.clone();
        assert_eq!(record(&mut breaker, call(2, outcome), 9, 31), None);
        assert_eq!(breaker, before);
        breaker.lease(id(3), at(40), at(32));
        let before = breaker.clone();
        assert_eq!(record(&mut breaker, call(2, outcome), 9, 33), None);
        assert_eq!(breaker, before);
    }
}

#[test]
fn a_hold_rules_until_it_lapses() {
    let hold = |kind| {
        Some(BreakerHold {
            kind,
            until: at(60),
            reason: "maintenance".into(),
        })
    };
    let mut breaker = Breaker {
        hold: hold(HoldKind::ForceOpen),
        ..Breaker::default()
    };
    assert_eq!(
        breaker.admit(at(0)),
        Admission::Refused {
            until: Some(at(60))
        }
    );
    assert_eq!(breaker.admit(at(60)), Admission::Allowed);
    assert_eq!(
        record(&mut breaker, call(1, CallHealth::Denied), 9, 59),
        None
    );
    assert!(record(&mut breaker, call(1, CallHealth::Denied), 9, 60).is_some());

    let breaker = Breaker {
        hold: hold(HoldKind::ForceClosed),
        ..opened()
    };
    assert_eq!(breaker.admit(at(1)), Admission::Allowed);
    assert_eq!(breaker.admit(at(60)), Admission::Probe);
}

#[test]
fn what_an_outcome_means_follows_from_class_time_and_settings() {
    let strict = BreakerSettings {
        count_client_errors: true,
        ..BreakerSettings::default()
    };
    let lenient = BreakerSettings::default();
    for (class, duration_ms, settings, outcome) in [
        (None, 8_000, lenient, CallHealth::Success),
        (None, 8_001, lenient, CallHealth::Failure),
        (
            Some(ErrorClass::NotCreated),
            1,
            lenient,
            CallHealth::Failure,
        ),
        (Some(ErrorClass::Unknown), 1, lenient, CallHealth::Failure),
        (Some(ErrorClass::Throttled), 1, lenient, CallHealth::Failure),
        (Some(ErrorClass::Denied), 9_000, lenient, CallHealth::Denied),
        (Some(ErrorClass::Rejected), 1, lenient, CallHealth::Alive),
        (Some(ErrorClass::Rejected), 1, strict, CallHealth::Failure),
        (
            Some(ErrorClass::Rejected),
            9_000,
            lenient,
            CallHealth::Failure,
        ),
        (Some(ErrorClass::Declined), 1, strict, CallHealth::Alive),
    ] {
        assert_eq!(
            outcome_of(class, duration_ms, &settings),
            outcome,
            "{class:?} {duration_ms}"
        );
    }
}

/// A merchant's traffic through one breaker, whose calls fail at random.
struct Traffic {
    breaker: Breaker,
    recent: VecDeque<(Instant, bool)>,
    random: u64,
}

impl Traffic {
    fn new(seed: u64) -> Self {
        Self {
            breaker: Breaker::default(),
            recent: VecDeque::new(),
            random: seed,
        }
    }

    /// Returns a random number in `0..10_000`, from the upper bits of a linear congruential generator.
    fn draw_bps(&mut self) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % 10_000
    }

    /// Makes one call at `now`. Returns true if the breaker opens.
    fn call(&mut self, now: Instant, failing_bps: u64, settings: &BreakerSettings) -> bool {
        let failed = self.draw_bps() < failing_bps;
        self.recent.push_back((now, failed));
        let from = self.breaker.counts_from(settings, now);
        while self.recent.front().is_some_and(|(at, _)| *at < from) {
            self.recent.pop_front();
        }
        let count = |n: usize| i32::try_from(n).unwrap();
        let window = FailureWindow {
            attempts: count(self.recent.len()),
            failures: count(self.recent.iter().filter(|(_, failed)| *failed).count()),
            consecutive_failures: count(
                self.recent
                    .iter()
                    .rev()
                    .take_while(|(_, failed)| *failed)
                    .count(),
            ),
        };
        let outcome = if failed {
            CallHealth::Failure
        } else {
            CallHealth::Success
        };
        self.breaker
            .record(call(0, outcome), &window, settings, now)
            .is_some()
    }
}

#[test]
fn a_gateway_that_fails_now_and_then_is_never_shut_out() {
    for every_ms in [200, 1_000, 5_000] {
        let mut traffic = Traffic::new(1);
        for n in 0..100_000 {
            let now = at(0) + TimeDelta::milliseconds(n * every_ms);
            assert!(
                !traffic.call(now, 200, &BreakerSettings::default()),
                "opened at call {n}"
            );
        }
    }
}

#[test]
fn a_gateway_that_mostly_fails_is_nearly_always_shut_out_within_twenty_calls() {
    let opened = (0..1_000_u64)
        .filter(|seed| {
            let mut traffic = Traffic::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            (0..20).any(|n| traffic.call(at(n), 6_000, &BreakerSettings::default()))
        })
        .count();
    assert!(opened >= 900, "{opened} of 1000");
    let mut traffic = Traffic::new(1);
    assert!((0..20).any(|n| traffic.call(at(n), 6_000, &BreakerSettings::default())));
}

/// Reference model: the rules again in their simplest form. It states the calls that a breaker must allow after any history.
#[derive(Debug, Default)]
struct Model {
    open_until: Option<i64>,
    open_for: i64,
    probe: Option<(u128, i64)>,
    good: i32,
}

impl Model {
    fn admits(&self, s: i64) -> bool {
        self.open_until.is_none_or(|until| s >= until)
            && self.probe.is_none_or(|(_, until)| s >= until)
    }

    fn record(&mut self, n: u128, outcome: CallHealth, failed: i32, s: i64) {
        let bad = matches!(outcome, CallHealth::Failure | CallHealth::Denied);
        if self.open_until.is_none() {
            if outcome == CallHealth::Denied || (bad && failed >= 5) {
                (self.open_for, self.open_until) = (30, Some(s + 30));
            }
        } else if self.probe.is_some_and(|(probe, _)| probe == n) {
            self.probe = None;
            self.good = if bad { 0 } else { self.good + 1 };
            if bad {
                self.open_for = (self.open_for * 2).min(600);
                self.open_until = Some(s + self.open_for);
            } else if self.good == 3 {
                *self = Self::default();
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(i64),
    Begin,
    End {
        back: u128,
        outcome: CallHealth,
        failed: i32,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        3 => Just(CallHealth::Success), 1 => Just(CallHealth::Alive),
        3 => Just(CallHealth::Failure), 1 => Just(CallHealth::Denied),
    ];
    prop_oneof![
        (0..40_i64).prop_map(Step::Wait),
        Just(Step::Begin),
        (0..3_u128, outcome, 1..8).prop_map(|(back, outcome, failed)| Step::End {
            back,
            outcome,
            failed
        }),
    ]
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(steps in prop::collection::vec(any_step(), 1..200)) {
        let (mut breaker, mut model) = (Breaker::default(), Model::default());
        let (mut now, mut started) = (0, 0);
        for step in steps {
            match step {
                Step::Wait(s) => now += s,
                Step::Begin => {
                    started += 1;
                    let half_open = breaker.state != BreakerState::Closed && breaker.admit(at(now)) == Admission::Probe;
                    breaker.lease(id(started), at(now + 8), at(now));
                    if half_open {
                        model.probe = Some((started, now + 8));
                    }
                }
                Step::End { back, outcome, failed } => {
                    let ended = call(started.saturating_sub(back), outcome);
                    let (noop, before) = (breaker.is_noop_for(ended, at(now)), breaker.clone());
                    let transition = record(&mut breaker, ended, failed, now);
                    model.record(started.saturating_sub(back), outcome, failed, now);
                    prop_assert!(!noop || (breaker == before && transition.is_none()));
                    prop_assert_eq!(transition.is_some(), breaker.state != before.state);
                    prop_assert!(transition.is_none_or(|t| (t.from, t.to) == (before.state, breaker.state)));
                }
            }
            let admitted = !matches!(breaker.admit(at(now)), Admission::Refused { .. });
            prop_assert_eq!(admitted, model.admits(now), "at {}: {:?} {:?}", now, breaker, model);
            prop_assert_eq!(breaker.state == BreakerState::Closed, model.open_until.is_none());
            prop_assert!(breaker.probe.is_none() || breaker.state == BreakerState::HalfOpen);
        }
    }
}
