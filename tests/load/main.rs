//! Measures a running stack with an open loop (arrivals at a fixed rate, independent of the answers) and a closed loop (a fixed number of
//! requests at a time).
//!
//! Latency is *added* latency: the time from when a request was due until its answer, minus the time that the simulator itself took.
//! `--hanging`, `--deliveries` and `--recovery` each select another measurement, which writes a file of its own. Every figure belongs to
//! this machine, on which the load, the stack and the simulators share the cores.

mod cpu;
mod deliveries;
mod hanging;
mod recovery;
mod report;
mod run;

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::Parser;
use tests::{Api, MerchantServer, Simulator};
use url::Url;

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
const RECEIVES: [(&str, &[&str]); 2] = [("all told", &[]), ("paid told", &["charge.paid"])];

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
    print(report::HEAD)?;
    if let Some(rows) = arguments.recovery {
        return recovery::run(&arguments, &bench, rows).await;
    }
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
        done(bench.open(*rate, false, &format!("open, {rate}/s")).await?)?;
    }
    let merchant_server = MerchantServer::open().await;
    for (receives, events) in RECEIVES {
        let endpoint = bench.listen(&merchant_server, events).await?;
        for rate in &arguments.lives {
            let name = format!("full lives, {rate}/s offered, {receives}");
            done(bench.lives(*rate, &merchant_server, &name).await?)?;
        }
        bench.stop_listening(&endpoint).await?;
    }
    report::write(&arguments.output, &rows)
}

/// Prints and flushes at once, so that a redirected output is up to date.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
