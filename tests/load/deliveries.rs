//! Eight healthy endpoints beside a dead one and a slow one: measures the delay of the healthy endpoints' events and the cost of a waiting
//! delivery.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    time::Duration,
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use reqwest::Method;
use schemas::id::{DeliveryId, EndpointId, EventId};
use serde::Serialize;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use temporalio_client::{
    Client, ClientOptions, Connection as TemporalConnection, ConnectionOptions, UntypedWorkflow,
    WorkflowFetchHistoryOptions,
};
use tests::{Api, Receiver, api::pix, receiver::Reply};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

use crate::{
    Arguments,
    hanging::report::{load_average, median},
    print,
    report::Percentiles,
    run::{count, histogram, percentiles},
    verdict::{self, Verdict},
};

const HEALTHY: usize = 8;
/// Charges a second. Each has one event for all ten endpoints.
const EVENTS_PER_S: u32 = 2;
const ANSWERS_AFTER: Duration = Duration::from_secs(10);
/// Maximum time from the last event until the healthy endpoints have received all events; longer than the sweep takes to find a lost start.
const LATEST: Duration = Duration::from_mins(3);
/// Period in which statements are counted while no charge is created.
const QUIET: Duration = Duration::from_secs(30);
/// Maximum number of statements of one try.
const STATEMENTS_PER_TRY: f64 = 10.0;
/// Number of histories read per endpoint.
const HISTORIES: usize = 25;
const READ_EVERY: Duration = Duration::from_millis(250);

/// Head of the table.
const HEAD: &str = "| phase | load average | events | received of expected | commit → received p50/p95/p99/max ms | waiting | statements | tries | workflow tasks per waiting delivery |\n\
     | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

/// Figures of one phase.
#[derive(Debug, Default, Serialize)]
struct Phase {
    name: String,
    load_average: [f64; 2],
    events: usize,
    expected: usize,
    received: usize,
    /// Time from the event's commit until one of the eight endpoints received it.
    ms: Percentiles,
    max_ms: f64,
    waiting: Option<Waiting>,
}

/// Cost of waiting deliveries while no charge is created.
#[derive(Debug, Default, Serialize)]
struct Waiting {
    seconds: f64,
    deliveries: i64,
    /// Statements on deliveries and endpoints, including those that record tries.
    statements: i64,
    tries: i64,
    /// Workflow tasks, timers, tries and deliveries of a sample since each delivery was created, by endpoint.
    sample: BTreeMap<String, Sampled>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Sampled {
    deliveries: usize,
    workflow_tasks: usize,
    timers: usize,
    tries: i64,
}

#[derive(Debug, Serialize)]
struct Report {
    events_per_s: u32,
    endpoints: usize,
    /// p99 with a dead and a slow endpoint divided by p99 with healthy ones: the median of the pairs, and the value of each pair.
    p99_ratio: f64,
    p99_ratios: Vec<f64>,
    p50_ratios: Vec<f64>,
    missing: usize,
    verdicts: Vec<Verdict>,
    phases: Vec<Phase>,
}

struct Deliveries {
    api: Api,
    db: PgConnection,
    temporal: Client,
    healthy: Vec<Receiver>,
    length: Duration,
}

/// The two additional endpoints of a phase.
struct Others {
    ids: Vec<(&'static str, String)>,
    _receivers: Vec<Receiver>,
}

/// Measures `pairs` pairs of phases.
pub(crate) async fn run(arguments: &Arguments, pairs: u32) -> anyhow::Result<()> {
    let mut bench = Deliveries::new(arguments).await?;
    let mut phases = Vec::new();
    print(HEAD)?;
    let others = bench.others(false).await?;
    bench.phase("warm-up", bench.length / 3).await?;
    bench.remove(others).await?;
    for pair in 1..=pairs {
        for faulty in [false, true] {
            let name = if faulty {
                "one dead, one slow"
            } else {
                "all healthy"
            };
            let others = bench.others(faulty).await?;
            let mut phase = bench
                .phase(&format!("{name}, {pair}"), bench.length)
                .await?;
            if faulty {
                phase.waiting = Some(bench.waiting(&others).await?);
            }
            bench.remove(others).await?;
            print(&phase.line())?;
            phases.push(phase);
        }
    }
    write(&arguments.output, &Report::of(phases))
}

impl Deliveries {
    async fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        let options = ConnectionOptions::new(arguments.temporal.clone())
            .identity("load")
            .build();
        let connection = TemporalConnection::connect(options).await?;
        let temporal = Client::new(connection, ClientOptions::new("default").build())?;
        let mut db = PgConnection::connect(&arguments.database).await?;
        db.execute("create extension if not exists pg_stat_statements")
            .await
            .context("tests/load/run.sh deliveries loads it")?;
        let api = Api::new(arguments.api.clone(), &arguments.key);
        let mut healthy = Vec::new();
        for _ in 0..HEALTHY {
            let receiver = Receiver::open().await;
            create(&api, receiver.url.as_str()).await?;
            healthy.push(receiver);
        }
        Ok(Self {
            api,
            db,
            temporal,
            healthy,
            length: Duration::from_secs(arguments.seconds),
        })
    }

    /// Creates two more endpoints: healthy ones, or a dead and a slow one.
    async fn others(&self, faulty: bool) -> anyhow::Result<Others> {
        let (mut ids, mut receivers) = (Vec::new(), Vec::new());
        for name in ["dead", "slow"] {
            let receiver = Receiver::open().await;
            ids.push((name, create(&self.api, receiver.url.as_str()).await?));
            match name {
                // the dropped receiver's port refuses connections
                "dead" if faulty => drop(receiver),
                "slow" if faulty => {
                    receiver.reply(Reply {
                        after: ANSWERS_AFTER,
                        ..Reply::status(204)
                    });
                    receivers.push(receiver);
                }
                _ => receivers.push(receiver),
            }
        }
        Ok(Others {
            ids,
            _receivers: receivers,
        })
    }

    /// Deletes the additional endpoints; their waiting deliveries are discarded.
    async fn remove(&self, others: Others) -> anyhow::Result<()> {
        for (_, id) in others.ids {
            let path = format!("/v1/webhook_endpoints/{id}");
            let gone = self.api.send(Method::DELETE, &path, None, None).await;
            anyhow::ensure!(gone.status.is_success(), "{}", gone.body);
        }
        Ok(())
    }

    /// Creates charges at a fixed rate and waits until the healthy endpoints have received all their events.
    async fn phase(&mut self, name: &str, length: Duration) -> anyhow::Result<Phase> {
        let load_before = load_average();
        let (from, start, between) = (
            Uuid::now_v7(),
            Instant::now(),
            Duration::from_secs(1) / EVENTS_PER_S,
        );
        let mut asked = JoinSet::new();
        for n in 0_u32.. {
            let due = start + between * n;
            if due >= start + length {
                break;
            }
            sleep_until(due).await;
            let api = self.api.clone();
            asked.spawn(async move { api.charge(&pix()).await });
        }
        asked.join_all().await;
        let committed = committed(&mut self.db, from).await?;
        let expected = committed.len() * HEALTHY;
        let deadline = Instant::now() + LATEST;
        while self.received(&committed).len() < expected && Instant::now() < deadline {
            sleep(READ_EVERY).await;
        }
        let took = self.received(&committed);
        let mut all = histogram()?;
        for us in &took {
            all.record(*us)?;
        }
        Ok(Phase {
            name: name.to_owned(),
            load_average: [load_before, load_average()],
            events: committed.len(),
            expected,
            received: took.len(),
            ms: percentiles(&all),
            max_ms: Duration::from_micros(all.max()).as_secs_f64() * 1000.0,
            waiting: None,
        })
    }

    /// Returns the microseconds from each event's commit until each healthy endpoint first received it.
    fn received(&self, committed: &HashMap<String, DateTime<Utc>>) -> Vec<u64> {
        let mut took = Vec::new();
        for receiver in &self.healthy {
            let mut first = HashMap::<_, DateTime<Utc>>::new();
            for post in receiver.arrived() {
                first.entry(post.id).or_insert(post.at.into());
            }
            took.extend(first.into_iter().filter_map(|(id, at)| {
                let us = (at - *committed.get(&id)?).num_microseconds()?;
                Some(u64::try_from(us).unwrap_or(0).max(1))
            }));
        }
        took
    }

    /// Counts what the deliveries to the dead and the slow endpoint cost while they wait.
    async fn waiting(&mut self, others: &Others) -> anyhow::Result<Waiting> {
        let mut sample = BTreeMap::new();
        for (name, endpoint) in &others.ids {
            sample.insert((*name).to_owned(), self.sample(endpoint).await?);
        }
        let began = Instant::now();
        self.db.execute("select pg_stat_statements_reset()").await?;
        let tries = self
            .number("select count(*) from delivery_attempts")
            .await?;
        let deliveries = self
            .number("select count(*) from deliveries where state = 'pending'")
            .await?;
        sleep(QUIET).await;
        let statements = "select coalesce(sum(calls), 0)::bigint from pg_stat_statements s join pg_database d on d.oid = s.dbid
             where d.datname = current_database() and query ~ 'deliver|webhook_endpoints' and query !~ 'pg_stat|count\\(\\*\\)'";
        let statements = self.number(statements).await?;
        let tries = self
            .number("select count(*) from delivery_attempts")
            .await?
            - tries;
        Ok(Waiting {
            seconds: began.elapsed().as_secs_f64(),
            deliveries,
            statements,
            tries,
            sample,
        })
    }

    async fn number(&mut self, sql: &str) -> anyhow::Result<i64> {
        let row = self.db.fetch_one(AssertSqlSafe(sql.to_owned())).await?;
        Ok(row.try_get(0)?)
    }

    async fn sample(&mut self, endpoint: &str) -> anyhow::Result<Sampled> {
        let endpoint: EndpointId = endpoint.parse()?;
        let sql = format!(
            "select id, attempts from deliveries where endpoint_id = '{}' and state = 'pending' order by random() limit {HISTORIES}",
            endpoint.uuid()
        );
        let mut sampled = Sampled::default();
        for row in self.db.fetch_all(AssertSqlSafe(sql)).await? {
            let id = DeliveryId(row.try_get(0)?).to_string();
            let handle = self.temporal.get_workflow_handle::<UntypedWorkflow>(id);
            let history = handle
                .fetch_history(WorkflowFetchHistoryOptions::default())
                .to_json()
                .await;
            // a delivery that is parked from its first step has no history
            let text = history.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            let text = text.unwrap_or_default();
            let count = |event| text.matches(event).count();
            sampled.deliveries += 1;
            sampled.workflow_tasks += count("\"WorkflowTaskStartedEventAttributes\"");
            sampled.timers += count("\"TimerStartedEventAttributes\"");
            sampled.tries += i64::from(row.try_get::<i32, _>(1)?);
        }
        Ok(sampled)
    }
}

/// Returns the commit time of each event since `from`.
async fn committed(
    db: &mut PgConnection,
    from: Uuid,
) -> anyhow::Result<HashMap<String, DateTime<Utc>>> {
    let sql = format!(
        "select id, pg_xact_commit_timestamp(xmin) from events where id > '{from}' and type = 'charge.pending'"
    );
    let mut found = HashMap::new();
    for row in db.fetch_all(AssertSqlSafe(sql)).await? {
        found.insert(EventId(row.try_get(0)?).to_string(), row.try_get(1)?);
    }
    Ok(found)
}

async fn create(api: &Api, url: &str) -> anyhow::Result<String> {
    let wanted = json!({ "url": url, "events": ["charge.pending"] });
    let made = api.post("/v1/webhook_endpoints", &wanted).await;
    anyhow::ensure!(made.status == 201, "{}", made.body);
    let id = made.body["id"].as_str().context("an id")?;
    Ok(id.to_owned())
}

impl Phase {
    fn line(&self) -> String {
        let waiting = self.waiting.as_ref().map_or_else(
            || "– | – | – | –".to_owned(),
            |waiting| {
                let per: Vec<_> = waiting
                    .sample
                    .iter()
                    .map(|(name, of)| of.cell(name))
                    .collect();
                format!(
                    "{} for {:.0} s | {} | {} | {}",
                    waiting.deliveries,
                    waiting.seconds,
                    waiting.statements,
                    waiting.tries,
                    per.join(", ")
                )
            },
        );
        format!(
            "| {} | {:.1}, {:.1} | {} | {}/{} | {:.1}/{:.1}/{:.1}/{:.0} | {waiting} |\n",
            self.name,
            self.load_average[0],
            self.load_average[1],
            self.events,
            self.received,
            self.expected,
            self.ms.p50,
            self.ms.p95,
            self.ms.p99,
            self.max_ms,
        )
    }
}

impl Waiting {
    /// Returns the verdicts on polling: a waiting delivery costs something only when it starts, when a timer fires and when it is tried.
    fn verdicts(all: &[&Self]) -> Vec<Verdict> {
        let sum = |of: &dyn Fn(&Self) -> i64| -> f64 {
            all.iter()
                .map(|one| f64::from(i32::try_from(of(one)).unwrap_or(i32::MAX)))
                .sum()
        };
        let (statements, tries) = (sum(&|one| one.statements), sum(&|one| one.tries));
        let mut verdicts = vec![
            Verdict::at_least(
                "deliveries that wait while statements are counted",
                sum(&|one| one.deliveries),
                1.0,
            ),
            Verdict::at_most(
                "statements on deliveries and endpoints beyond those of tries, per waiting delivery and minute",
                (statements - tries * STATEMENTS_PER_TRY).max(0.0) * 60.0
                    / QUIET.as_secs_f64()
                    / sum(&|one| one.deliveries),
                0.1,
            ),
        ];
        let names = all.iter().flat_map(|one| one.sample.keys());
        for name in names.collect::<std::collections::BTreeSet<_>>() {
            let samples: Vec<_> = all
                .iter()
                .filter_map(|one| one.sample.get(name).copied())
                .collect();
            let deliveries = count(samples.iter().map(|sampled| sampled.deliveries).sum());
            let excess = count(samples.into_iter().map(Sampled::excess).sum());
            // a try in progress is not recorded yet
            verdicts.push(Verdict::at_most(
                format!(
                    "workflow tasks per delivery that waits for the {name} endpoint beyond one per start, timer and recorded try"
                ),
                excess / deliveries,
                1.0,
            ));
        }
        verdicts
    }
}

impl Sampled {
    /// Returns the number of workflow tasks that nothing explains.
    fn excess(self) -> usize {
        let tries = usize::try_from(self.tries).unwrap_or(0);
        self.workflow_tasks
            .saturating_sub(self.deliveries + self.timers + tries)
    }

    fn cell(&self, name: &str) -> String {
        let n = f64::from(u32::try_from(self.deliveries.max(1)).unwrap_or(u32::MAX));
        let each = |sum: usize| f64::from(u32::try_from(sum).unwrap_or(u32::MAX)) / n;
        let tries = usize::try_from(self.tries).unwrap_or(0);
        format!(
            "{name} {:.1} with {:.1} tries and {:.1} timers",
            each(self.workflow_tasks),
            each(tries),
            each(self.timers)
        )
    }
}

impl Report {
    fn of(phases: Vec<Phase>) -> Self {
        let ratios = |of: &dyn Fn(&Phase) -> f64| -> Vec<f64> {
            phases
                .chunks(2)
                .map(|pair| of(&pair[1]) / of(&pair[0]))
                .collect()
        };
        let p99_ratios = ratios(&|phase| phase.ms.p99);
        let missing = phases
            .iter()
            .map(|phase| phase.expected - phase.received)
            .sum();
        let mut verdicts = vec![
            Verdict::at_most(
                "p99 commit → received of the healthy eight, one dead and one slow over all healthy",
                median(&p99_ratios),
                1.2,
            ),
            Verdict::none("events that a healthy endpoint did not receive", missing),
        ];
        let waiting: Vec<_> = phases
            .iter()
            .filter_map(|phase| phase.waiting.as_ref())
            .collect();
        verdicts.extend(Waiting::verdicts(&waiting));
        Self {
            verdicts,
            events_per_s: EVENTS_PER_S,
            endpoints: HEALTHY + 2,
            p99_ratio: median(&p99_ratios),
            p99_ratios,
            p50_ratios: ratios(&|phase| phase.ms.p50),
            missing,
            phases,
        }
    }

    fn table(&self) -> String {
        let lines: String = self.phases.iter().map(Phase::line).collect();
        format!(
            "{HEAD}{lines}\np99 of the healthy eight, one dead and one slow over all healthy: {:.2} (pairs: {:.2?}); p50: {:.2?}; missing: {}\n\n{}",
            self.p99_ratio,
            self.p99_ratios,
            self.p50_ratios,
            self.missing,
            verdict::list(&self.verdicts)
        )
    }
}

fn write(folder: &Path, report: &Report) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(folder.join("deliveries.json"), json)?;
    let table = report.table();
    print(&format!("\n{table}"))?;
    Ok(std::fs::write(folder.join("deliveries.md"), table)?)
}
