use std::time::Instant;

use sqlx::{
    Connection, SqlStr,
    migrate::{Migration, MigrationType},
};

use super::*;
use crate::testing::{connect, empty, run, texts};

fn migrator(statements: &[&'static str]) -> Migrator {
    let migrations = (1..).zip(statements).map(|(version, sql)| {
        let (kind, sql) = (MigrationType::Simple, SqlStr::from_static(sql));
        Migration::new(version, "test".into(), kind, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_rows_are_migrated_without_the_products_time_limit() {
    let url = empty().await;
    let mut db = connect(&url).await;
    let name = texts(&mut db, "select current_database()::text").await;
    run(
        &mut db,
        &format!(
            "alter database \"{}\" set statement_timeout = '250ms'",
            name[0]
        ),
    )
    .await;
    let migrator = migrator(&[
        "create table rows as select n as id, n * 2 as amount, null::bigint as fee from generate_series(1, 1000000) n",
        "do $$ begin assert current_setting('statement_timeout') = '0', current_setting('statement_timeout'); end $$;
         update rows set fee = amount / 100;
         alter table rows alter column fee set not null",
    ]);
    apply(&url, &migrator).await.expect("migrated");
    let mut db = connect(&url).await;
    run(&mut db, "set statement_timeout = 0").await;
    let left = texts(
        &mut db,
        "select count(*)::text from rows where fee = amount / 100",
    )
    .await;
    assert_eq!(left, ["1000000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_waits_for_its_lock_lets_others_through_and_is_done_in_the_end() {
    let url = empty().await;
    let first = "create table busy (id integer)";
    apply(&url, &migrator(&[first])).await.expect("migrated");
    let mut reader = connect(&url).await;
    run(&mut reader, "begin; select * from busy").await;
    let migrating = {
        let url = url.clone();
        let migrator = migrator(&[first, "alter table busy add column name text"]);
        async move { apply(&url, &migrator).await }
    };
    let others = async {
        let mut db = connect(&url).await;
        let waits =
            "select pid::text from pg_locks where not granted and relation = 'busy'::regclass";
        while texts(&mut db, waits).await.is_empty() {
            tokio::task::yield_now().await;
        }
        // The query queues behind the migration until the migration's lock times out.
        let since = Instant::now();
        run(&mut db, "select * from busy").await;
        assert!(
            since.elapsed() < Duration::from_secs(4),
            "{:?}",
            since.elapsed()
        );
        run(&mut reader, "commit").await;
    };
    let (migrated, ()) = tokio::join!(migrating, others);
    migrated.expect("migrated");
    run(&mut connect(&url).await, "select name from busy").await;
}

/// Query of everything that a migration can change, one line each, in a deterministic order.
const SCHEMA: &str = "
    select line from (
        select format('column %s.%s %s %s default %s', table_name, column_name, data_type, is_nullable, column_default) as line
          from information_schema.columns where table_schema = 'public'
        union all
        select 'index ' || indexdef from pg_indexes where schemaname = 'public'
        union all
        select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
          from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
        union all
        select 'function ' || pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace
        union all
        select format('relation %s %s', relkind, relname) from pg_class where relnamespace = 'public'::regnamespace
    ) lines
    where line not like '%\\_sqlx\\_migrations%'
    order by line collate \"C\"";

#[tokio::test(flavor = "multi_thread")]
async fn every_migration_can_be_undone_and_done_again() {
    let url = empty().await;
    let mut db = connect(&url).await;
    let versions: Vec<i64> = MIGRATIONS
        .iter()
        .filter(|migration| migration.migration_type.is_up_migration())
        .map(|migration| migration.version)
        .collect();
    let mut schemas = vec![(0, texts(&mut db, SCHEMA).await)];
    for version in &versions {
        MIGRATIONS.run_to(*version, &mut db).await.expect("up");
        schemas.push((*version, texts(&mut db, SCHEMA).await));
    }
    let last = schemas.last().cloned().expect("migrations");
    for (version, schema) in schemas.iter().rev().skip(1) {
        MIGRATIONS.undo(&mut db, *version).await.expect("down");
        let now = texts(&mut db, SCHEMA).await;
        assert_eq!(
            differences(schema, &now),
            Vec::<String>::new(),
            "back at {version}"
        );
    }
    MIGRATIONS.run(&mut db).await.expect("up again");
    let again = texts(&mut db, SCHEMA).await;
    assert_eq!(
        differences(&last.1, &again),
        Vec::<String>::new(),
        "up again"
    );
    db.close().await.expect("closed");
}

/// Rows of every kind.
pub(super) const ROWS: &str = include_str!("rows.sql");
/// Query of the tables without rows; requires `analyze`.
const EMPTY: &str = "
    select relname::text from pg_class
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
       and relname not like '%\\_sqlx\\_migrations%' and reltuples <= 0
     order by 1";

/// Undoes, applies again and undoes each migration while all tables have rows.
#[tokio::test(flavor = "multi_thread")]
async fn every_migration_can_be_undone_and_done_again_with_rows() {
    let url = empty().await;
    let mut db = connect(&url).await;
    let mut schemas = vec![(0, texts(&mut db, SCHEMA).await)];
    for migration in MIGRATIONS.iter() {
        if migration.migration_type.is_up_migration() {
            let version = migration.version;
            MIGRATIONS.run_to(version, &mut db).await.expect("up");
            schemas.push((version, texts(&mut db, SCHEMA).await));
        }
    }
    run(&mut db, ROWS).await;
    run(&mut db, "analyze").await;
    assert_eq!(texts(&mut db, EMPTY).await, [""; 0], "tables without rows");
    for pair in schemas.windows(2).rev() {
        let [(before, without), (version, with)] = pair else {
            continue;
        };
        for again in [false, true] {
            let undone = MIGRATIONS.undo(&mut db, *before).await;
            undone.unwrap_or_else(|error| panic!("{version} is not undone: {error}"));
            let now = texts(&mut db, SCHEMA).await;
            assert_eq!(differences(without, &now), [""; 0], "back at {before}");
            if !again {
                let done = MIGRATIONS.run_to(*version, &mut db).await;
                done.unwrap_or_else(|error| panic!("{version} is not done again: {error}"));
                let now = texts(&mut db, SCHEMA).await;
                assert_eq!(differences(with, &now), [""; 0], "{version} again");
            }
        }
    }
    MIGRATIONS.run(&mut db).await.expect("up again");
    run(&mut db, ROWS).await;
    db.close().await.expect("closed");
}

fn differences(wanted: &[String], found: &[String]) -> Vec<String> {
    let missing = wanted.iter().filter(|line| !found.contains(line));
    let extra = found.iter().filter(|line| !wanted.contains(line));
    let missing = missing.map(|line| format!("missing: {line}"));
    missing
        .chain(extra.map(|line| format!("extra: {line}")))
        .collect()
}
