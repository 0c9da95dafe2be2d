use std::{
    fs,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::*;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn every_backoff_grows_to_a_limit_and_spreads_rows_that_failed_together() {
    let timing = Timing::default();
    let all = [
        timing.rounds,
        timing.refund_again,
        sync::READ_AGAIN,
        sync::END_AGAIN,
        address::REGISTER_AGAIN,
    ];
    for backoff in all {
        assert!(backoff.factor > 1, "{backoff:?}");
        assert!(backoff.initial_ms < backoff.max_ms, "{backoff:?}");
        assert_eq!(backoff.delay_ms(u32::MAX), backoff.max_ms, "{backoff:?}");
        let row = |n: u128| Uuid::from_u128(n << 64 | n);
        let pauses: Vec<_> = (1..50).map(|n| backoff.spread(1, row(n))).collect();
        let least = Duration::from_millis(backoff.delay_ms(1));
        assert!(pauses.iter().all(|pause| *pause >= least), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
    }
    assert!(timing.delivery.jitter_bps > 0);
}

#[test]
fn every_list_of_pauses_grows() {
    let timing = Timing::default();
    let tokens = notification::TOKEN_AGAIN_S.map(s);
    for pauses in [
        timing.late_checks.as_slice(),
        timing.orphan_searches.as_slice(),
        sweep::UNMATCHED_AGAIN.as_slice(),
        tokens.as_slice(),
        client::DELIVERY_START_RETRIES.as_slice(),
    ] {
        assert!(pauses.is_sorted_by(|a, b| a < b), "{pauses:?}");
    }
    let starts: Duration = client::DELIVERY_START_RETRIES.iter().sum();
    assert!(starts < client::DELIVERY_START_MAX_AGE);
    assert!(client::DELIVERY_START_MAX_AGE <= timing.sweep_grace);
}

#[test]
fn a_lease_outlasts_the_work_under_it() {
    let timing = Timing::default();
    assert!(attempt::LEASE >= attempt::RENEW_EVERY * 3);
    assert!(orphan::OCCUPY_WITHIN * 2 < orphan::LEASE);
    assert!(refund::CALL + refund::SLACK < workflow::REFUND_TIMEOUT);
    assert!(polling::TURN + timing.last_call < polling::LEASE);
    assert!(notification::TOKENS_ROUND + timing.last_call < notification::TOKEN_LEASE);
}

#[test]
fn a_timeout_outlasts_the_timeouts_within_it() {
    let timing = Timing::default();
    assert!(timing.call < timing.last_call);
    let attempt = timing.last_call + timing.resolve + attempt::SLACK;
    assert!(attempt < workflow::LOCAL_TIMEOUT);
    assert!(sync::READ_WITHIN < workflow::LOCAL_TIMEOUT);
    // a workflow task needs a heartbeat after 80 % of its timeout
    assert!(timing.activity < workflow::TASK_TIMEOUT * 4 / 5);
    assert!(timing.delivery_call + delivery::ANSWER_TIMEOUT < workflow::DELIVERY_TIMEOUT);
    assert!(heartbeat::HEARTBEAT_EVERY * 3 < workflow::HEARTBEAT_TIMEOUT);
    assert!(polling::ROUND + polling::TURN < workflow::ROUND_TIMEOUT);
    assert!(registration::ROUND < workflow::ROUND_TIMEOUT);
    assert!(sweep::BEGIN_WITHIN + sweep::ROW_WITHIN < workflow::SWEEP_TIMEOUT);
    for round in [
        workflow::ROUND_TIMEOUT,
        workflow::SWEEP_TIMEOUT,
        workflow::PARTITIONS_TIMEOUT,
    ] {
        assert!(round < workflow::EXECUTION_TIMEOUT);
    }
}

/// Returns the Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn no_schedule_is_outside_of_the_table() {
    let activities = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = activities.join("src/retry.rs");
    let workflows = activities.with_file_name("workflows");
    let mut outside = Vec::new();
    for folder in [activities.join("src"), workflows.join("src")] {
        for path in sources(&folder) {
            let text = fs::read_to_string(&path).expect("a file");
            // constants of tests are indented
            let schedules = text.lines().filter(|line| {
                let line = line
                    .trim_start_matches("pub(super) ")
                    .trim_start_matches("pub(crate) ");
                line.trim_start_matches("pub ").starts_with("const ")
                    && [": Duration ", ": [Duration;", ": Backoff ", ": TimeDelta "]
                        .iter()
                        .any(|kind| line.contains(kind))
            });
            if path != table && !path.ends_with("tests.rs") {
                outside.extend(schedules.map(|line| format!("{}: {line}", path.display())));
            }
        }
    }
    assert!(outside.is_empty(), "{outside:#?}");
}
