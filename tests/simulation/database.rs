//! A database of the simulation's own. Its clock and its ids are sequences, so that the seed determines both.

use std::{path::Path, str::FromStr};

use anyhow::Context;
use chrono::{DateTime, Utc};
use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, Row,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow, PgSslMode},
};
use store::{Store, vault::DataKey};
use url::Url;
use uuid::Uuid;

use super::{
    borders::{Border, Borders},
    line::{Line, Server},
};

/// Size of the pool; more than tasks can hold at a time.
const CONNECTIONS: u32 = 80;
/// Connections opened ahead; as many as tasks usually need at a time.
const AHEAD: usize = 16;
/// Timeout of the pool; long, because a task that waits at a border must not count as a lack of connections.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(10);
/// Time without an answer after which a request may be waiting for a lock.
const LOCK_AFTER: std::time::Duration = std::time::Duration::from_millis(2);
/// Longest interval between two searches for waits during one rest.
const LOCK_AFTER_AT_MOST: std::time::Duration = std::time::Duration::from_millis(16);
/// Number of rounds of at least [`LOCK_AFTER`] after which the harness itself counts as stuck.
const STUCK: u32 = 30_000;
/// Number of yields to other futures (such as a connection's return to the pool) before the database counts as quiet.
const YIELDS: u32 = 10;
/// Number of runs after which dead rows are vacuumed.
const VACUUM_EVERY: u64 = 100;

const CLOCK_AND_IDS: &str = "
    create sequence sim_clock minvalue 0;
    create sequence sim_ids;
    create function uuidv7() returns uuid language sql volatile as $$
        select (lpad(to_hex((select last_value from sim_clock) / 1000), 12, '0') || '7' || lpad(to_hex(nextval('sim_ids') & 4095), 3, '0')
                || '8' || lpad(to_hex(currval('sim_ids')), 15, '0'))::uuid $$;";

/// The product's clock, which returns the sequence's value.
const APP_NOW: &str = "
    create or replace function app_now() returns timestamptz language sql stable parallel safe as $$
        select timestamptz 'epoch' + (select last_value from sim_clock) * interval '1 microsecond' $$;";

/// The database of one process.
pub(super) struct Database {
    pub store: Store,
    pub line: Line,
    /// Connection outside of the pool that reads rows and lock waits.
    watcher: PgConnection,
    name: String,
    url: Url,
    /// SQL that empties all tables and restores their rows at the start of a run.
    again: String,
    runs: u64,
}

fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

impl Database {
    pub(super) async fn create(borders: &Borders) -> anyhow::Result<Self> {
        let name = format!("sim_{}", Uuid::now_v7().simple());
        let mut url: Url = environment("ORCHESTRATOR_DATABASE_URL")?.parse()?;
        store::migrations::create_database(url.as_str(), &name).await?;
        let server = url.clone();
        url.set_path(&name);
        let options = PgConnectOptions::from_str(url.as_str())?.options([
            ("search_path", "public,pg_catalog"),
            ("synchronous_commit", "off"),
            // connections are many and used in turn: without it each plans each statement five times
            ("plan_cache_mode", "force_generic_plan"),
        ]);
        let mut watcher = PgConnection::connect_with(&options).await?;
        run(&mut watcher, CLOCK_AND_IDS).await?;
        store::MIGRATIONS.run(&mut watcher).await?;
        run(&mut watcher, APP_NOW).await?;
        let line = Line::open(server_address(&url), url.port().unwrap_or(5432))?;
        let options = options.socket(&line.folder).ssl_mode(PgSslMode::Disable);
        let (on_idle, on_new) = (borders.clone(), borders.clone());
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .before_acquire(move |connection, _| {
                let borders = on_idle.clone();
                Box::pin(async move {
                    borders.wait(Border::Database).await;
                    set_time(&borders, connection).await?;
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                let borders = on_new.clone();
                Box::pin(async move {
                    borders.wait(Border::Database).await;
                    set_time(&borders, connection).await
                })
            })
            .connect_with(options)
            .await?;
        Ok(Self {
            line,
            store: Store::new(pool, DataKey::random()),
            watcher,
            name,
            url: server,
            again: String::new(),
            runs: 0,
        })
    }

    /// Opens connections ahead of a run: connections opened while tasks run would come in an order that the seed does not determine.
    pub(super) async fn warm(&self) -> anyhow::Result<()> {
        // connections parked at borders return only after this call
        let free = usize::try_from(CONNECTIONS)?.saturating_sub(self.in_use());
        let all = (0..AHEAD.min(free)).map(|_| self.store.pool.acquire());
        futures::future::try_join_all(all).await.map(drop)?;
        Ok(())
    }

    /// Stores all present rows as the state in which each run starts.
    pub(super) async fn keep(&mut self) -> anyhow::Result<()> {
        let tables = self
            .rows(
                "select c.relname::text as name,
                        (select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a
                          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns
                   from pg_class c
                  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
                    and c.relname <> '_sqlx_migrations'
                  order by c.relname",
            )
            .await?;
        let mut again = "set session_replication_role = replica; begin;".to_owned();
        run(&mut self.watcher, "create schema saved").await?;
        for table in tables {
            let (name, columns): (String, String) = (table.get("name"), table.get("columns"));
            again.push_str(&["delete from ", &name, ";"].concat());
            run(
                &mut self.watcher,
                &format!("create table saved.{name} as select {columns} from public.{name}"),
            )
            .await?;
            let kept = self
                .rows(&format!("select count(*) as n from saved.{name}"))
                .await?;
            if kept[0].get::<i64, _>("n") > 0 {
                let insert = format!(
                    "insert into {name} ({columns}) overriding system value select {columns} from saved.{name};"
                );
                again.push_str(&insert);
            }
        }
        self.again = again + "commit; set session_replication_role = origin;";
        Ok(())
    }

    /// Restores the stored rows and sets the clock to `now`.
    pub(super) async fn begin(&mut self, now: DateTime<Utc>) -> anyhow::Result<()> {
        let again = format!(
            "{} select setval('sim_clock', {}), setval('sim_ids', 1);",
            self.again,
            micros(now)
        );
        run(&mut self.watcher, &again).await?;
        self.runs += 1;
        if self.runs.is_multiple_of(VACUUM_EVERY) {
            run(&mut self.watcher, "vacuum").await?;
        }
        Ok(())
    }

    /// Leaves only these merchants' connections, with lists that are read up to now.
    pub(super) async fn only(&mut self, merchants: Vec<Uuid>) -> anyhow::Result<()> {
        let merchants: Vec<_> = merchants.iter().map(|id| format!("'{id}'")).collect();
        let sql = format!(
            "set session_replication_role = replica;
             delete from gateway_connections where merchant_id not in ({});
             update gateway_connections set checked_at = coalesce(checked_at, created_at), created_at = app_now();
             set session_replication_role = origin;",
            merchants.join(", ")
        );
        run(&mut self.watcher, &sql).await
    }

    /// Returns the rows of a query.
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulation reads the tables from outside, with queries that are no part of the store"
    )]
    pub(super) async fn rows(&mut self, query: &str) -> anyhow::Result<Vec<PgRow>> {
        let found = sqlx::query(AssertSqlSafe(query.to_owned()))
            .persistent(true)
            .fetch_all(&mut self.watcher)
            .await;
        found.with_context(|| query.to_owned())
    }

    /// Finds the connections that wait for a lock. The holder's release grants a lock before the holder has its own answer.
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulation reads the server's locks, which are no part of the store"
    )]
    pub(super) async fn find_locks(&mut self) -> anyhow::Result<()> {
        let asked = self.line.asked();
        if asked.is_empty() {
            return Ok(());
        }
        // one text for all sets of pids: it is parsed and planned once
        let rows =
            sqlx::query("select distinct pid from pg_locks where not granted and pid = any($1)")
                .bind(asked)
                .fetch_all(&mut self.watcher)
                .await?;
        let locked: Vec<i32> = rows.iter().map(|row| row.get("pid")).collect();
        self.line.set_locked(&locked);
        Ok(())
    }

    /// Waits until no message is in flight between the pool and the server, so that each unanswered request waits for a lock.
    pub(super) async fn quiet(&mut self, woken: impl Fn() -> bool) -> anyhow::Result<()> {
        let (mut quiet, mut after) = (0, LOCK_AFTER);
        for _ in 0..STUCK {
            if woken() {
                return Ok(());
            }
            if self.line.pending() > 0 {
                quiet = 0;
                let changed = tokio::time::timeout(after, self.line.change()).await;
                if changed.is_err() {
                    self.find_locks().await?;
                    // a request that waits for a lock does so at once; on a busy machine it only lacks a processor
                    after = (after * 2).min(LOCK_AFTER_AT_MOST);
                }
            } else if quiet < YIELDS {
                quiet += 1;
                tokio::task::yield_now().await;
            } else if self.line.has_locked() {
                self.find_locks().await?;
                if self.line.pending() == 0 {
                    return Ok(());
                }
            } else {
                return Ok(());
            }
        }
        anyhow::bail!("the database does not come to rest: {}", self.idle().await?)
    }

    /// Returns the last statements of connections that are idle in a transaction.
    pub(super) async fn idle(&mut self) -> anyhow::Result<String> {
        let rows = self
            .rows(
                "select coalesce(string_agg(state || ': ' || left(query, 100), '; '), '') as does from pg_stat_activity
                  where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in%'",
            )
            .await?;
        Ok(rows[0].get("does"))
    }

    /// Returns the number of connections in use.
    pub(super) fn in_use(&self) -> usize {
        let pool = &self.store.pool;
        usize::try_from(pool.size())
            .unwrap_or_default()
            .saturating_sub(pool.num_idle())
    }

    pub(super) async fn drop(self) -> anyhow::Result<()> {
        self.store.pool.close().await;
        self.line.close();
        self.watcher.close().await?;
        let mut db = PgConnection::connect(self.url.as_str()).await?;
        run(&mut db, &format!("drop database \"{}\"", self.name)).await
    }
}

async fn run(db: &mut PgConnection, sql: &str) -> anyhow::Result<()> {
    let done = db.execute(AssertSqlSafe(sql.to_owned())).await;
    done.map(drop)
        .with_context(|| sql.chars().take(200).collect::<String>())
}

/// Sets the database's clock if it is behind.
#[expect(
    clippy::disallowed_methods,
    reason = "the clock of the simulation is no part of the store"
)]
async fn set_time(borders: &Borders, db: &mut PgConnection) -> Result<(), sqlx::Error> {
    let now = {
        let mut shared = borders.lock();
        if !shared.clock_moved {
            return Ok(());
        }
        shared.clock_moved = false;
        shared.now
    };
    sqlx::query("select setval('sim_clock', $1)")
        .bind(micros(now))
        .execute(db)
        .await
        .map(drop)
}

/// Returns the server's socket, if the environment names its folder and it exists, or else its TCP address.
fn server_address(url: &Url) -> Server {
    let port = url.port().unwrap_or(5432);
    let folder = environment("POSTGRES_SOCKETS").unwrap_or_default();
    let socket = Path::new(&folder).join(format!(".s.PGSQL.{port}"));
    if socket.exists() {
        return Server::Unix(socket);
    }
    Server::Tcp(url.host_str().unwrap_or("127.0.0.1").to_owned(), port)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's services come from the environment"
)]
fn environment(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name}: run it by tests/simulation/run.sh"))
}
