//! Counts of statements and commits on our database, and of requests to Temporal.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use tokio::time::Instant;
use url::Url;

/// Statements that open, close or listen: they are counted apart.
const NOT_COUNTED: &str = "^\\s*(begin|commit|rollback|listen|unlisten|savepoint|release)";
/// Number of characters of a statement that are reported.
const SHOWN: usize = 110;

/// Reads the counters of PostgreSQL and Temporal.
pub(crate) struct Counters {
    db: PgConnection,
    database: String,
    metrics: Url,
}

/// Counters at one moment.
pub(crate) struct Reading {
    at: Instant,
    statements: BTreeMap<String, f64>,
    requests: BTreeMap<String, f64>,
    commits: f64,
}

/// Counts of one unit of work.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Counted {
    /// Statements on our database, without those that open and close transactions.
    pub statements: f64,
    /// Number of `commit` statements.
    pub commits: f64,
    /// Requests to Temporal's frontend, without long polls and heartbeats of workers.
    pub requests: f64,
    pub by_statement: BTreeMap<String, f64>,
    pub by_request: BTreeMap<String, f64>,
}

impl Counters {
    /// Connects to the server of our database, under another database: its own statements are not counted.
    pub(crate) async fn open(database: &str, metrics: &Url) -> anyhow::Result<Self> {
        let mut url: Url = database.parse()?;
        let name = url.path().trim_start_matches('/').to_owned();
        url.set_path("/postgres");
        let mut db = PgConnection::connect(url.as_str()).await?;
        db.execute("create extension if not exists pg_stat_statements")
            .await
            .context("PostgreSQL must preload pg_stat_statements, as tests/load/run.sh does")?;
        Ok(Self {
            db,
            database: name,
            metrics: metrics.clone(),
        })
    }

    pub(crate) async fn read(&mut self) -> anyhow::Result<Reading> {
        let sql = format!(
            "select query, sum(calls)::float8 as calls, query ~* '{NOT_COUNTED}' as apart
               from pg_stat_statements s join pg_database d on d.oid = s.dbid
              where d.datname = '{}' and toplevel group by 1, 3 order by 1",
            self.database
        );
        let (mut statements, mut commits) = (BTreeMap::new(), 0.0);
        for row in self.db.fetch_all(AssertSqlSafe(sql)).await? {
            let (query, calls): (String, f64) = (row.try_get(0)?, row.try_get(1)?);
            if !row.try_get::<bool, _>(2)? {
                *statements.entry(shortened(&query)).or_default() += calls;
            } else if query.trim().to_lowercase().starts_with("commit") {
                commits += calls;
            }
        }
        Ok(Reading {
            at: Instant::now(),
            statements,
            requests: requests(&self.metrics).await?,
            commits,
        })
    }
}

impl Reading {
    /// Returns the counts since an earlier reading, less those of an idle stack in the same time, per unit of work.
    pub(crate) fn since(&self, before: &Self, idle: &Counted, units: f64) -> Counted {
        let seconds = (self.at - before.at).as_secs_f64();
        let each = |now: f64, before: f64, idle: f64| (now - before - idle * seconds) / units;
        let by = |now: &BTreeMap<String, f64>,
                  before: &BTreeMap<String, f64>,
                  idle: &BTreeMap<String, f64>| {
            let of =
                |all: &BTreeMap<String, f64>, name: &String| all.get(name).copied().unwrap_or(0.0);
            let counts = now.iter().map(|(name, count)| {
                (name.clone(), each(*count, of(before, name), of(idle, name)))
            });
            counts
                .filter(|(_, count)| *count != 0.0)
                .collect::<BTreeMap<_, _>>()
        };
        let by_statement = by(&self.statements, &before.statements, &idle.by_statement);
        let by_request = by(&self.requests, &before.requests, &idle.by_request);
        Counted {
            statements: by_statement.values().sum(),
            commits: each(self.commits, before.commits, idle.commits),
            requests: by_request.values().sum(),
            by_statement,
            by_request,
        }
    }

    /// Returns the counts since an earlier reading per second.
    pub(crate) fn per_second(&self, before: &Self) -> Counted {
        let seconds = (self.at - before.at).as_secs_f64();
        self.since(before, &Counted::default(), seconds.max(0.001))
    }
}

impl Counted {
    fn each(&self, other: &Self, of: impl Fn(f64, f64) -> f64) -> Self {
        let by = |mine: &BTreeMap<String, f64>, theirs: &BTreeMap<String, f64>| {
            let names = mine.keys().chain(theirs.keys());
            let count =
                |all: &BTreeMap<String, f64>, name: &String| all.get(name).copied().unwrap_or(0.0);
            names
                .map(|name| (name.clone(), of(count(mine, name), count(theirs, name))))
                .collect()
        };
        Self {
            statements: of(self.statements, other.statements),
            commits: of(self.commits, other.commits),
            requests: of(self.requests, other.requests),
            by_statement: by(&self.by_statement, &other.by_statement),
            by_request: by(&self.by_request, &other.by_request),
        }
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        self.each(other, |mine, theirs| mine + theirs)
    }

    pub(crate) fn less(&self, other: &Self) -> Self {
        self.each(other, |mine, theirs| mine - theirs)
    }
}

/// Returns the number of requests to Temporal's frontend so far, by operation.
async fn requests(metrics: &Url) -> anyhow::Result<BTreeMap<String, f64>> {
    let client = tests::http();
    let answer = client
        .get(metrics.clone())
        .timeout(Duration::from_secs(5))
        .send()
        .await;
    let text = answer.context("Temporal's metrics")?.text().await?;
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let Some((labels, count)) = line
            .strip_prefix("service_requests{")
            .and_then(|rest| rest.rsplit_once("} "))
        else {
            continue;
        };
        let label = |name: &str| {
            let (_, rest) = labels.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        let operation = label("operation").unwrap_or_default();
        let is_ours = label("service_name").as_deref() == Some("frontend")
            && !operation.starts_with("Poll")
            && !operation.contains("Heartbeat")
            && operation != "GetSystemInfo";
        if is_ours {
            *found.entry(operation).or_default() += count.trim().parse::<f64>()?;
        }
    }
    Ok(found)
}

fn shortened(query: &str) -> String {
    let words: Vec<_> = query.split_whitespace().collect();
    words.join(" ").chars().take(SHOWN).collect()
}
