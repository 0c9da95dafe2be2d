//! Measures a running stack with an open loop (arrivals at a fixed rate, independent of the answers) and a closed loop (a fixed number of
//! requests at a time).
//!
//! Latency is *added* latency: the time from when a request was due until its answer, minus the time that the simulator itself took.
//! `--compare`, `--hanging`, `--deliveries` and `--recovery` each select another measurement, which writes a file of its own. Every figure belongs to
//! this machine, on which the load, the stack and the simulators share the cores.

mod compare;
mod costs;
mod counters;
mod cpu;
mod deliveries;
mod hanging;
mod listener;
mod lives;
mod recovery;
mod report;
mod run;
mod sender;
mod verdict;

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::Parser;
use tests::{Api, MerchantServer, Simulator};
use url::Url;
use verdict::Verdict;

/// Addresses of the stack, and the lengths and rates of the runs.
#[derive(Debug, Parser)]
#[command(args_override_self = true)]
pub struct Arguments {
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    api: Url,
    /// A key with the permission `configuration`, of a merchant whose first gateway is Efí.
    #[arg(long)]
    key: String,
    #[arg(long, default_value = "http://127.0.0.1:4100")]
    simulators: Url,
    /// Used to measure the write-ahead log.
    #[arg(long)]
    database: String,
    /// Folder of files named after processes, each with a pid on its first line.
    #[arg(long)]
    pids: PathBuf,
    /// Length of each run in seconds.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Latency of the gateway in milliseconds.
    #[arg(long, default_value_t = 0)]
    gateway_ms: u64,
    /// Numbers of charges in progress at a time, one closed-loop run each.
    #[arg(long, value_delimiter = ',', default_value = "1,8,16")]
    closed: Vec<usize>,
    /// Charges per second, one open-loop run each. The last one should exceed the capacity of the stack.
    #[arg(long, value_delimiter = ',', default_value = "25,50,200")]
    open: Vec<u32>,
    /// Latencies of the gateway in milliseconds, one further open-loop run each, at `--latency-rate` charges per second.
    #[arg(long, value_delimiter = ',', default_value = "300,800")]
    latencies: Vec<u64>,
    #[arg(long, default_value_t = 50)]
    latency_rate: u32,
    /// Numbers of full lives in progress at a time, one closed-loop run each.
    #[arg(long, value_delimiter = ',', default_value = "16")]
    closed_lives: Vec<usize>,
    /// Number of charges, payments and deliveries whose statements and requests are counted.
    #[arg(long, default_value_t = 100)]
    samples: usize,
    /// Temporal's server, under which the results are stored: `dev` or `postgres`.
    #[arg(long, default_value = "dev")]
    profile: String,
    /// Commit and date of the measurement.
    #[arg(long, default_value = "without a commit")]
    measured: String,
    /// Runs the scenarios of `compare.sh` instead, and writes their figures to this file.
    #[arg(long)]
    compare: Option<PathBuf>,
    /// Address of Temporal's metrics.
    #[arg(long, default_value = "http://127.0.0.1:9797/metrics")]
    temporal_metrics: Url,
    /// Full lives offered per second (created, paid, delivered), one run each.
    #[arg(long, value_delimiter = ',', default_value = "20,35,50")]
    lives: Vec<u32>,
    /// Measures the recovery from an outage of Temporal instead, with this number of charges and as many deliveries.
    #[arg(long)]
    recovery: Option<u32>,
    /// Keys of other merchants, which share the recovery; with `--hanging`, merchants whose routes do not contain Stripe.
    #[arg(long, value_delimiter = ',')]
    others: Vec<String>,
    /// Measures beside a hanging Stripe instead: the number of pairs of phases, each without and with the fault.
    #[arg(long)]
    hanging: Option<u32>,
    /// Sales per second beside a hanging Stripe.
    #[arg(long, default_value_t = 30)]
    sales: u32,
    /// Keys of merchants whose routes begin with Stripe and contain another gateway.
    #[arg(long, value_delimiter = ',')]
    touched: Vec<String>,
    /// Keys of merchants whose only gateway is Stripe.
    #[arg(long, value_delimiter = ',')]
    stuck: Vec<String>,
    /// Measures deliveries beside a dead and a slow endpoint instead: the number of pairs of phases, each without and with them.
    #[arg(long)]
    deliveries: Option<u32>,
    /// Address of Temporal's frontend, from which the delivery workflows are read.
    #[arg(long, default_value = "http://127.0.0.1:7233")]
    temporal: Url,
    /// Addresses of the processes' metrics, as `name=URL`.
    #[arg(long, value_delimiter = ',')]
    metrics: Vec<String>,
    /// Folder to which `results.json` and `results.md` are written.
    #[arg(long, default_value = "tests/load")]
    output: PathBuf,
}

impl Arguments {
    /// Returns the processes with metrics, by name.
    fn metrics(&self) -> anyhow::Result<Vec<(String, Url)>> {
        let named = self.metrics.iter().map(|named| {
            let (name, url) = named.split_once('=').context("name=URL")?;
            Ok((name.to_owned(), url.parse()?))
        });
        named.collect()
    }
}

/// Subscriptions of the one webhook endpoint: every event (the default), or only `charge.paid`.
const RECEIVES: [(&str, &[&str]); 2] =
    [("all events", &[]), ("charge.paid only", &["charge.paid"])];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(pairs) = arguments.hanging {
        return hanging::run(&arguments, pairs).await;
    }
    if let Some(pairs) = arguments.deliveries {
        return deliveries::run(&arguments, pairs).await;
    }
    let api = Api::new(arguments.api.clone(), &arguments.key);
    let efi = Simulator::new(arguments.simulators.clone(), "efi");
    let bench = run::Bench::new(&arguments, api, efi).await?;
    bench.closed(1, "warm-up").await?;
    if let Some(path) = &arguments.compare {
        return compare::run(&bench, path).await;
    }
    print(report::HEAD)?;
    if let Some(rows) = arguments.recovery {
        return recovery::run(&arguments, &bench, rows).await;
    }
    let load_before = hanging::report::load_average();
    let mut rows = charges(&arguments, &bench).await?;
    rows.extend(lives(&arguments, &bench).await?);
    let sent = sender::Sent::measure(&bench).await?;
    print(&format!("\n{}\n", sent.line()))?;
    let mut counters =
        counters::Counters::open(&arguments.database, &arguments.temporal_metrics).await?;
    let costs = costs::Costs::count(&bench, &mut counters, arguments.samples).await?;
    print(&costs.table())?;
    let mut verdicts = costs.verdicts();
    verdicts.extend(targets(&arguments, &rows));
    print(&format!("\n{}", verdict::list(&verdicts)))?;
    let results = report::Results {
        measured: arguments.measured.clone(),
        load_average: [load_before, hanging::report::load_average()],
        rows,
        sent,
        costs,
        verdicts,
    };
    report::write(&arguments.output, &arguments.profile, results)
}

/// Measures charges alone.
async fn charges(arguments: &Arguments, bench: &run::Bench) -> anyhow::Result<Vec<report::Row>> {
    let mut rows = Vec::new();
    let mut done = |row: report::Row| {
        print(&row.line())?;
        rows.push(row);
        anyhow::Ok(())
    };
    for n in &arguments.closed {
        done(bench.closed(*n, &format!("closed, {n} at a time")).await?)?;
    }
    for rate in &arguments.open {
        done(bench.open(*rate, &format!("open, {rate}/s")).await?)?;
    }
    for ms in &arguments.latencies {
        bench.latency(*ms).await;
        let name = slow_run(arguments.latency_rate, *ms);
        done(bench.open(arguments.latency_rate, &name).await?)?;
    }
    bench.latency(arguments.gateway_ms).await;
    Ok(rows)
}

/// Measures charges that are paid and whose events are delivered.
async fn lives(arguments: &Arguments, bench: &run::Bench) -> anyhow::Result<Vec<report::Row>> {
    let merchant_server = MerchantServer::open().await;
    let mut rows = Vec::new();
    for (receives, events) in RECEIVES {
        let endpoint = bench.listen(&merchant_server.url, events).await?;
        merchant_server.trust(&endpoint.secret);
        for rate in &arguments.lives {
            let name = format!("full lives, {rate}/s offered, {receives}");
            let row = bench.lives(*rate, &merchant_server, &name).await?;
            print(&row.line())?;
            rows.push(row);
        }
        bench.stop_listening(&endpoint).await?;
    }
    for n in &arguments.closed_lives {
        let name = format!("full lives, {n} at a time, all events");
        let row = bench.closed_lives(*n, &name).await?;
        print(&row.line())?;
        rows.push(row);
    }
    Ok(rows)
}

fn slow_run(rate: u32, ms: u64) -> String {
    format!("open, {rate}/s, gateway {ms} ms")
}

/// Returns the targets of CPU, and of charges at a slow gateway.
fn targets(arguments: &Arguments, rows: &[report::Row]) -> Vec<Verdict> {
    let most = arguments.closed.iter().max().copied().unwrap_or(0);
    let named = |name: String| rows.iter().find(|row| row.name == name);
    let mut verdicts = Vec::new();
    if let Some(row) = named(format!("closed, {most} at a time")) {
        let cpu = row.split().without_temporal();
        let name = format!("CPU ms per charge, ours and PostgreSQL's for us, {most} at a time");
        verdicts.push(Verdict::at_most(name, cpu, 4.5));
    }
    if let Some(row) = named(slow_run(50, 800)) {
        let at = "at 50 charges/s and a gateway of 800 ms";
        verdicts.push(Verdict::none(
            format!("charges refused or diverted {at}"),
            row.shed + row.other,
        ));
        verdicts.push(Verdict::at_most(
            format!("added p99 in ms {at}"),
            row.added_ms.p99,
            100.0,
        ));
    }
    verdicts
}

/// Prints and flushes at once, so that a redirected output is up to date.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
