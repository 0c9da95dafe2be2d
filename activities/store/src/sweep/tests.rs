use std::collections::BTreeMap;

use super::*;
use crate::testing::{connect, migrated, run, texts};

/// Opens a database that accepts rows without the rows that they reference: no reference is used here.
async fn database() -> PgConnection {
    let mut db = connect(&migrated().await).await;
    run(&mut db, "set session_replication_role = replica").await;
    db
}

fn merchant(n: u32) -> String {
    Uuid::from_u128(u128::from(n)).to_string()
}

/// Inserts `count` charges of a merchant, overdue by `age`.
async fn charges(db: &mut PgConnection, of: u32, count: u32, age: &str) {
    let sql = format!(
        "insert into charges (id, merchant_id, mode, payer_id, payer_sealed, method, payment_method, amount, status, next_check_at,
                              expires_at, created_at)
         select uuidv7(), '{}', 'test', uuidv7(), '\\x00', 'pix', '{{}}', 1, 'pending', app_now() - interval '{age}', app_now(),
                app_now()
           from generate_series(1, {count})",
        merchant(of)
    );
    run(db, &sql).await;
}

fn wanted(tries: (i32, i32), limit: i64) -> SweepPage {
    SweepPage {
        grace: TimeDelta::minutes(1),
        tries,
        limit,
    }
}

fn marks(rows: &[Overdue], pause: TimeDelta) -> Vec<SweepMark> {
    let mark = |row: &Overdue| SweepMark {
        key: row.key.clone(),
        merchant: row.merchant,
        due_at: row.due_at,
        tries: row.tries + 1,
        pause,
        reason: "test".to_owned(),
    };
    rows.iter().map(mark).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_with_many_overdue_rows_delays_no_other() {
    let mut db = database().await;
    charges(&mut db, 1, 1_000, "2 hours").await;
    charges(&mut db, 2, 30, "1 hour").await;
    charges(&mut db, 3, 1, "2 minutes").await;
    charges(&mut db, 4, 5, "30 seconds").await;
    let rows = page(&mut db, SweepKind::Charge, wanted((0, 9), 90))
        .await
        .expect("read");
    let mut of_merchant = BTreeMap::new();
    for row in &rows {
        *of_merchant.entry(row.merchant.to_string()).or_insert(0) += 1;
    }
    assert_eq!(of_merchant.into_values().collect::<Vec<_>>(), [59, 30, 1]);
    assert!(
        rows[..3]
            .iter()
            .any(|row| row.merchant.uuid() == Uuid::from_u128(3))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_move_give_way_to_others_and_come_back() {
    let mut db = database().await;
    charges(&mut db, 1, 10, "1 hour").await;
    let all = wanted((0, i32::MAX), 100);
    let rows = page(&mut db, SweepKind::Charge, all).await.expect("read");
    let (left, right) = rows.split_at(6);
    let hour = TimeDelta::hours(1);
    mark(&mut db, SweepKind::Charge, &marks(left, hour))
        .await
        .expect("marked");
    mark(&mut db, SweepKind::Charge, &marks(right, -hour))
        .await
        .expect("marked");
    let back = page(&mut db, SweepKind::Charge, all).await.expect("read");
    assert_eq!(back.len(), 4);
    assert!(back.iter().all(|row| row.tries == 1));
    let never_checked = wanted((0, 0), 100);
    assert!(
        page(&mut db, SweepKind::Charge, never_checked)
            .await
            .expect("read")
            .is_empty()
    );
    // A row that is due at another time has moved: it counts as never checked.
    run(
        &mut db,
        "update charges set next_check_at = next_check_at + interval '1 second'",
    )
    .await;
    let moved = page(&mut db, SweepKind::Charge, never_checked)
        .await
        .expect("read");
    assert_eq!(moved.len(), 10);
    forget_marks(&mut db, TimeDelta::minutes(30))
        .await
        .expect("done");
    assert_eq!(texts(&mut db, "select key from sweep_marks").await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_swept_in_every_state() {
    let mut db = database().await;
    charges(&mut db, 1, 1, "1 hour").await;
    let attempt = "insert into attempts (id, merchant_id, mode, charge_id, n, connection_id, gateway, api, reason, plan,
                                         policy_version, state, lease_owner, lease_expires_at, deadline_at, request_sealed, next_check_at, started_at)
                   select uuidv7(), merchant_id, 'test', id, n, uuidv7(), 'efi', 'efi_pix', 'primary', '{}', 1, state, uuidv7(),
                          next_check_at, next_check_at, '\\x00', next_check_at, next_check_at
                     from charges, (values (1, 'presented'), (2, 'paid'), (3, 'not_created'), (4, 'abandoned'), (5, 'open'))
                                   states (n, state)";
    run(&mut db, attempt).await;
    let count = |rows: &[Overdue]| {
        let orphans = rows
            .iter()
            .filter(|row| matches!(row.target, SweepTarget::Orphan(..)));
        (rows.len(), orphans.count())
    };
    let all = wanted((0, 9), 100);
    let rows = page(&mut db, SweepKind::Attempt, all).await.expect("read");
    assert_eq!(count(&rows), (5, 5));
    run(&mut db, "update charges set status = 'processing'").await;
    let rows = page(&mut db, SweepKind::Attempt, all).await.expect("read");
    assert_eq!(count(&rows), (5, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_the_oldest_row_is_known_for_each_kind() {
    let mut db = database().await;
    charges(&mut db, 1, 3, "1 hour").await;
    charges(&mut db, 2, 3, "-1 hour").await;
    let ages = overdue_s(&mut db).await.expect("read");
    for (kind, age_s) in ages {
        let expected = if kind == SweepKind::Charge {
            3_600.0
        } else {
            0.0
        };
        assert!((age_s - expected).abs() < 60.0, "{kind:?}: {age_s}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_found_by_an_index() {
    let mut db = database().await;
    // PostgreSQL reads such a small table completely by default; the test checks only that the index can be used.
    run(&mut db, "set enable_seqscan = off").await;
    for (table, column) in [
        ("charges", "next_check_at"),
        ("attempts", "next_check_at"),
        ("refunds", "next_check_at"),
        ("deliveries", "next_check_at"),
        ("notification_tokens", "next_check_at"),
        ("unmatched_notifications", "next_check_at"),
    ] {
        let sql = format!(
            "explain select * from {table} where {column} < app_now() - interval '1 minute'"
        );
        let plan = texts(&mut db, &sql).await.join("\n");
        assert!(
            plan.contains("Index Cond: (next_check_at < (app_now()"),
            "{plan}"
        );
    }
    let observations = "explain select min(received_at) from observations where handled_at is null";
    let plan = texts(&mut db, observations).await.join("\n");
    assert!(plan.contains("observations_to_handle"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_unmatched_ones_of_one_connection_do_not_come_back_together() {
    let mut db = database().await;
    let merchant = merchant(1);
    let connection = Uuid::from_u128(9);
    run(
        &mut db,
        &format!(
            "insert into notification_tokens (connection_id, token, merchant_id, mode, next_check_at)
             select '{connection}', 'token ' || n, '{merchant}', 'test', app_now() - interval '1 hour' from generate_series(1, 20) n;
             insert into unmatched_notifications (connection_id, dedupe_key, merchant_id, mode, reference, next_check_at)
             select '{connection}', 'key ' || n, '{merchant}', 'test', 'at1', app_now() - interval '1 hour' from generate_series(1, 20) n"
        ),
    )
    .await;
    for kind in [SweepKind::Token, SweepKind::Unmatched] {
        let rows = page(&mut db, kind, wanted((0, 9), 90)).await.expect("read");
        let most = std::time::Duration::from_mins(1);
        let waits = rows
            .iter()
            .map(|row| schemas::retry::jitter(row.seed, most));
        let different: std::collections::BTreeSet<_> = waits.collect();
        assert!(different.len() > 15, "{kind:?}: {different:?}");
    }
}
