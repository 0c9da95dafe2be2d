//! Monthly partitions. They are created ahead of time without blocking the writers of their tables.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

use crate::{StoreError, migrations::LOCK_NOT_AVAILABLE};

/// Tables that are partitioned by their ids, which begin with a timestamp.
const PARTITIONED: [&str; 4] = ["events", "deliveries", "delivery_attempts", "notifications"];
/// Number of months after the current one for which partitions exist.
const MONTHS_AHEAD: i32 = 2;
/// Maximum number of rows of a default partition that is read while it is locked.
const SMALL: i64 = 10_000;
/// Maximum wait of a step for its lock. Statements that need the same rows of the default partition queue behind it during this time.
const LOCK_TIMEOUT: &str = "200ms";
/// Maximum number of retries of a step that did not acquire its lock.
const TRIES: u32 = 20;
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// PostgreSQL's error codes: rows violate the constraint; another process created the table first.
const CHECK_VIOLATION: &str = "23514";
const DUPLICATE_TABLE: &str = "42P07";

/// Partition to create.
#[derive(Debug)]
struct Partition {
    parent: &'static str,
    name: String,
    /// First id of the partition.
    from: Uuid,
    /// First id after the partition.
    to: Uuid,
}

/// Month, as a range of the ids that are created in it.
struct Month {
    suffix: String,
    from: Uuid,
    to: Uuid,
    /// First id of the instant one day from now.
    soon: Uuid,
}

/// Creates the missing partitions of this month and the next two. Returns their names.
///
/// A partition is created separately and then attached, which does not block the parent's readers and writers. The default partition is
/// locked for a moment: this affects only writers whose month has no partition of its own. Rows of a month that are in the default
/// partition stay there; the month's partition then begins one day from now.
pub async fn ensure(db: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let (mut created, mut failed) = (Vec::new(), None);
    for month in months(db).await? {
        for parent in PARTITIONED {
            let name = format!("{parent}_{}", month.suffix);
            if exists(db, &name).await? {
                continue;
            }
            let partition = Partition {
                parent,
                name,
                from: month.from,
                to: month.to,
            };
            match create(db, partition, month.soon).await {
                Ok(name) => created.extend(name),
                Err(error) => {
                    tracing::error!(parent, month = month.suffix, %error, "a partition could not be created");
                    failed = Some(error);
                }
            }
        }
    }
    failed.map_or(Ok(created), Err)
}

async fn months(db: &mut PgConnection) -> Result<Vec<Month>, StoreError> {
    Ok(sqlx::query_as!(
        Month,
        r#"select to_char(month, 'YYYY_MM') as "suffix!", uuid_floor(month at time zone 'UTC') as "from!",
                  uuid_floor((month + interval '1 month') at time zone 'UTC') as "to!",
                  uuid_floor(app_now() + interval '1 day') as "soon!"
             from (select date_trunc('month', app_now() at time zone 'UTC') + make_interval(months => n) as month
                     from generate_series(0, $1::integer) n) ahead
            order by month"#,
        MONTHS_AHEAD,
    )
    .fetch_all(db)
    .await?)
}

async fn exists(db: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar!(r#"select to_regclass($1) is not null as "exists!""#, name)
            .fetch_one(db)
            .await?,
    )
}

/// Creates a partition and returns its name. Returns `None` if no time is left of its month.
async fn create(
    db: &mut PgConnection,
    mut partition: Partition,
    soon: Uuid,
) -> Result<Option<String>, StoreError> {
    if !holds(db, &partition).await? && is_small(db, partition.parent).await? {
        let attached = step(db, &attach(&partition)).await;
        if !has_code(&attached, CHECK_VIOLATION) {
            return attached.map(|()| Some(partition.name));
        }
    }
    partition.from = partition.from.max(soon);
    if partition.from >= partition.to {
        return Ok(None);
    }
    create_beside_rows(db, &partition).await?;
    Ok(Some(partition.name))
}

/// Attaches a partition although the default partition is large or has rows of the same month. A constraint, validated while writers
/// continue, proves to PostgreSQL that the default partition holds no rows of the new one, so that it is not read while it is locked. The
/// constraint covers only ids that are created at least one day from now. Until then it rejects no row, and a later run removes a
/// constraint that a crashed process left.
async fn create_beside_rows(
    db: &mut PgConnection,
    partition: &Partition,
) -> Result<(), StoreError> {
    let Partition {
        parent, from, to, ..
    } = partition;
    let promise = format!(
        "{} alter table {parent}_default add constraint holds_none_of_next check (id < '{from}' or id >= '{to}') not valid",
        forget(parent),
    );
    step(db, &promise).await?;
    let validate = format!("alter table {parent}_default validate constraint holds_none_of_next");
    let attached = match step(db, &validate).await {
        Ok(()) => step(db, &attach(partition)).await,
        Err(error) => Err(error),
    };
    if attached.is_err() {
        step(db, &forget(parent)).await?;
    }
    attached
}

fn forget(parent: &str) -> String {
    format!("alter table {parent}_default drop constraint if exists holds_none_of_next;")
}

/// Returns statements that create and attach a partition in one transaction, so that no unattached table remains.
fn attach(partition: &Partition) -> String {
    let Partition {
        parent,
        name,
        from,
        to,
    } = partition;
    format!(
        "create table {name} (like {parent} including all);
         alter table {parent} attach partition {name} for values from ('{from}') to ('{to}');
         {}",
        forget(parent),
    )
}

/// Returns true if the default partition has rows of the partition's month.
async fn holds(db: &mut PgConnection, partition: &Partition) -> Result<bool, StoreError> {
    let Partition {
        parent, from, to, ..
    } = partition;
    any(
        db,
        &format!("from {parent}_default where id >= '{from}' and id < '{to}'"),
        1,
    )
    .await
}

async fn is_small(db: &mut PgConnection, parent: &str) -> Result<bool, StoreError> {
    Ok(!any(db, &format!("from {parent}_default"), SMALL).await?)
}

/// Returns true if there are at least `at_least` rows.
async fn any(db: &mut PgConnection, rows: &str, at_least: i64) -> Result<bool, StoreError> {
    let sql = format!(
        "select from (select 1 {rows} limit {at_least}) found having count(*) >= {at_least}"
    );
    let found = db.fetch_optional(AssertSqlSafe(sql)).await?;
    Ok(found.is_some())
}

/// Runs statements in one transaction and retries until they acquire their locks.
async fn step(db: &mut PgConnection, statements: &str) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        let done = step_once(db, statements).await;
        if has_code(&done, DUPLICATE_TABLE) {
            return Ok(());
        }
        if tries >= TRIES || !has_code(&done, LOCK_NOT_AVAILABLE) {
            return done;
        }
        tries += 1;
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn step_once(db: &mut PgConnection, statements: &str) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    let sql = format!(
        "set local lock_timeout = '{LOCK_TIMEOUT}'; set local statement_timeout = 0; {statements}"
    );
    tx.execute(AssertSqlSafe(sql)).await?;
    tx.commit().await?;
    Ok(())
}

fn has_code(done: &Result<(), StoreError>, code: &str) -> bool {
    let Err(StoreError::Database(sqlx::Error::Database(error))) = done else {
        return false;
    };
    error.code().is_some_and(|found| found == code)
}

#[cfg(test)]
mod tests;
