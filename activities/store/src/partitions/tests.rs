use std::time::Instant;

use super::*;
use crate::testing::{connect, migrated, run, texts};

const NAMES: &str =
    "select inhrelid::regclass::text from pg_inherits join pg_class on pg_class.oid = inhrelid
                     where relkind = 'r' order by 1";

async fn names(db: &mut PgConnection) -> Vec<String> {
    texts(db, NAMES).await
}

/// Returns the statement that inserts an event with that id.
fn event(id: &str) -> String {
    format!(
        "insert into events (id, merchant_id, mode, type, subject_type, subject_id, sequence, data)
         select {id}, m.id, 'test', 'charge.paid', 'charge', uuidv7(), 1, '{{}}' from merchants m"
    )
}

/// Moves the clock of one connection.
async fn months_later(db: &mut PgConnection, months: i32) {
    let ms = i64::from(months) * 31 * 24 * 60 * 60 * 1000;
    run(db, &format!("set orchestrator.clock_offset_ms = '{ms}'")).await;
}

async fn with_merchant() -> String {
    let url = migrated().await;
    let merchant = "insert into merchants (id, name, data_key) values (uuidv7(), 'Loja', '\\x00')";
    run(&mut connect(&url).await, merchant).await;
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_made_ahead_and_only_once() {
    let url = with_merchant().await;
    let mut db = connect(&url).await;
    let created = ensure(&mut db).await.expect("partitions");
    assert_eq!(created.len(), PARTITIONED.len() * 3, "{created:?}");
    assert_eq!(
        ensure(&mut db).await.expect("partitions"),
        Vec::<String>::new()
    );
    run(&mut db, &event("uuidv7()")).await;
    let found = texts(&mut db, "select tableoid::regclass::text from events").await;
    assert_ne!(found, ["events_default"]);
    // The partitions have the parent's keys, indexes and foreign keys.
    let keys = "select conrelid::regclass::text from pg_constraint
                 where contype = 'f' and conrelid in (select inhrelid from pg_inherits where inhparent = 'deliveries'::regclass)";
    assert_eq!(texts(&mut db, keys).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_transactions_of_writers_hold_up_no_partition_and_wait_for_none() {
    let url = with_merchant().await;
    let mut db = connect(&url).await;
    ensure(&mut db).await.expect("partitions");
    let mut writer = connect(&url).await;
    run(&mut writer, &format!("begin; {}", event("uuidv7()"))).await;
    let making = async {
        months_later(&mut db, 1).await;
        let since = Instant::now();
        let created = ensure(&mut db).await.expect("partitions");
        assert_eq!(created.len(), PARTITIONED.len(), "{created:?}");
        since.elapsed()
    };
    let writing = async {
        let mut other = connect(&url).await;
        run(&mut other, "set lock_timeout = '50ms'").await;
        for _ in 0..50 {
            run(&mut other, &event("uuidv7()")).await;
        }
    };
    let (took, ()) = tokio::join!(making, writing);
    assert!(took < Duration::from_secs(5), "{took:?}");
    run(&mut writer, "commit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_the_default_partition_hold_up_no_other_month() {
    let url = with_merchant().await;
    let mut db = connect(&url).await;
    // Rows from before the first partition, and old rows: more than are read under a lock.
    run(&mut db, &event("uuidv7()")).await;
    let long_ago = "from merchants m, generate_series(1, 12000)";
    let old = event("uuidv7(interval '-3 years')").replace("from merchants m", long_ago);
    run(&mut db, &old).await;
    let created = ensure(&mut db).await.expect("partitions");
    // On the last day of a month no time is left of it.
    assert!(created.len() >= PARTITIONED.len() * 3 - 1, "{created:?}");
    assert_eq!(
        names(&mut db).await.len(),
        PARTITIONED.len() + created.len()
    );
    let rest = "select 1::text from pg_constraint where conname = 'holds_none_of_next'";
    assert_eq!(texts(&mut db, rest).await, Vec::<String>::new());
    // Rows of today still go to the default partition; those of tomorrow and of next month do not.
    for (age, expected) in [("0", true), ("25 hours", false), ("40 days", false)] {
        let id = format!("uuidv7(interval '{age}')");
        run(&mut db, "delete from events").await;
        run(&mut db, &event(&id)).await;
        let found = texts(&mut db, "select tableoid::regclass::text from events").await;
        assert_eq!(found == ["events_default"], expected, "{age}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_never_had_ends_the_attempt_and_leaves_nothing() {
    let url = with_merchant().await;
    let mut reader = connect(&url).await;
    run(&mut reader, "begin; select * from events").await;
    let mut db = connect(&url).await;
    let partition = Partition {
        parent: "events",
        name: "events_2040_01".to_owned(),
        from: Uuid::from_u128(2 << 120),
        to: Uuid::from_u128(3 << 120),
    };
    let attached = step_once(&mut db, &attach(&partition)).await;
    assert!(has_code(&attached, LOCK_NOT_AVAILABLE), "{attached:?}");
    assert!(!exists(&mut db, &partition.name).await.expect("read"));
}
