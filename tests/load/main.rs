//! Measures a running stack: open loop (arrivals by the clock, whatever is still under way) and closed loop (so many at a time).
//!
//! Latency is *added* latency: from when a request was due until its answer, minus what the simulator itself spent on it.
//! With `--hanging`, `--deliveries` or `--recovery` it measures that instead, each in a file of its own.
//! Every figure is of this machine, on which the load, the stack and the simulators share the cores.

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

/// Where the stack is, and how long to measure.
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
    /// For the write-ahead log.
    #[arg(long)]
    database: String,
    /// Files named after processes, each with a pid on its first line.
    #[arg(long)]
    pids: PathBuf,
    /// Seconds of each run.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Milliseconds that the gateway takes.
    #[arg(long, default_value_t = 0)]
    gateway_ms: u64,
    /// Charges at a time, one closed-loop run each.
    #[arg(long, value_delimiter = ',', default_value = "1,8,16")]
    closed: Vec<usize>,
    /// Charges per second, one open-loop run each; the last one should be more than the stack can take.
    #[arg(long, value_delimiter = ',', default_value = "25,50,200")]
    open: Vec<u32>,
    /// Full lives per second offered (created, paid, delivered).
    #[arg(long, value_delimiter = ',', default_value = "20,35,50")]
    lives: Vec<u32>,
    /// Measures the recovery from an outage of Temporal instead, with so many charges and as many deliveries.
    #[arg(long)]
    recovery: Option<u32>,
    /// Keys of other merchants, who share the recovery; with `--hanging`, merchants whose routes never touch Stripe.
    #[arg(long, value_delimiter = ',')]
    others: Vec<String>,
    /// Measures beside a hanging Stripe instead: so many pairs of phases, without it and with it.
    #[arg(long)]
    hanging: Option<u32>,
    /// Sales a second beside a hanging Stripe.
    #[arg(long, default_value_t = 30)]
    sales: u32,
    /// Keys of merchants whose routes begin with Stripe, and have another gateway.
    #[arg(long, value_delimiter = ',')]
    touched: Vec<String>,
    /// Keys of merchants whose only gateway is Stripe.
    #[arg(long, value_delimiter = ',')]
    stuck: Vec<String>,
    /// Measures deliveries beside a dead and a slow endpoint instead: so many pairs of phases, without them and with them.
    #[arg(long)]
    deliveries: Option<u32>,
    /// Temporal's frontend, where the workflows of deliveries are read.
    #[arg(long, default_value = "http://127.0.0.1:7233")]
    temporal: Url,
    /// Where metrics of processes are, as `name=URL`.
    #[arg(long, value_delimiter = ',')]
    metrics: Vec<String>,
    /// Where to write `results.json` and `results.md`.
    #[arg(long, default_value = "tests/load")]
    output: PathBuf,
}

impl Arguments {
    /// The processes with metrics, by name.
    fn metrics(&self) -> anyhow::Result<Vec<(String, Url)>> {
        let named = self.metrics.iter().map(|named| {
            let (name, url) = named.split_once('=').context("name=URL")?;
            Ok((name.to_owned(), url.parse()?))
        });
        named.collect()
    }
}

/// What the one webhook endpoint hears: every event, as unless told otherwise, or only that somebody paid.
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

/// At once, also into a file.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
