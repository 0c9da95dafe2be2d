//! Kills each part of a stack under load, one after the other, and stops Temporal for a while. Then checks that every charge was created
//! once and paid, every event delivered, and every message relayed to Kafka. `run.sh` starts the stack.

mod component;
mod count;
mod kafka;
mod load;
mod probe;
mod purchase;
mod report;
mod rows;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use serde_json::json;
use simulators::SIMULATORS;
use tests::{Api, MerchantServer, Simulator};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::{
    component::Component,
    count::Books,
    kafka::Outbox,
    load::Load,
    probe::Probe,
    purchase::{Buyer, Purchase},
    report::{Line, Phase},
};

/// Latency of each gateway in milliseconds, so that a kill meets calls in flight.
const GATEWAY_LATENCY_MS: u64 = 60;
/// Latency while a part is paused, in milliseconds, so that it is paused during calls.
const SLOW_MS: u64 = 700;
/// Duration of a pause: longer than two of Temporal's workflow tasks.
const PAUSED: Duration = Duration::from_secs(8);
/// Wait of a gateway before it repeats a notification; the default is minutes.
const NOTIFY_AGAIN_S: u64 = 1;
const NOTIFY_AGAIN_TIMES: usize = 60;
/// Maximum time from the last kill until all counts are right.
const SETTLE_WITHIN: Duration = Duration::from_mins(3);

/// Addresses of the stack, and the intensity of the load and of the kills.
#[derive(Debug, Parser)]
pub struct Arguments {
    #[arg(long)]
    api: Url,
    /// A key with the permission `configuration`, of a merchant with a connection to each gateway.
    #[arg(long)]
    key: String,
    #[arg(long)]
    simulators: Url,
    #[arg(long)]
    database: String,
    #[arg(long)]
    kafka: String,
    #[arg(long, default_value = "")]
    topic_prefix: String,
    /// Temporal's HTTP API.
    #[arg(long)]
    temporal: Url,
    /// Path of the binary that runs every role.
    #[arg(long)]
    orchestrator: PathBuf,
    /// Charges requested per second.
    #[arg(long, default_value_t = 4)]
    rate: u32,
    /// Seconds of load before and after each kill.
    #[arg(long, default_value_t = 4)]
    calm_s: u64,
    /// Seconds that a killed part stays down.
    #[arg(long, default_value_t = 3)]
    down_s: u64,
    /// Seconds that Temporal is stopped for at the end.
    #[arg(long, default_value_t = 30)]
    away_s: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let api = Api::new(arguments.api.clone(), &arguments.key);
    let simulators = prepare(&arguments).await;
    let merchant_server = MerchantServer::open().await;
    let endpoint = api
        .post(
            "/v1/webhook_endpoints",
            &json!({ "url": merchant_server.url }),
        )
        .await
        .expect(201);
    merchant_server.trust(endpoint["secret"].as_str().unwrap_or_default());
    let outbox = Outbox::watch(&arguments).await?;

    let probe = Probe::start(&api);
    let buyer = Buyer::new(&api, &simulators);
    let load = Load::open(buyer.clone(), arguments.rate);
    let (calm, down) = (
        Duration::from_secs(arguments.calm_s),
        Duration::from_secs(arguments.down_s),
    );
    let mut phases = Vec::new();
    for component in Component::ALL {
        phases.push(kill(component, &arguments, &probe, (calm, down)).await?);
    }
    for component in [Component::Api, Component::Worker] {
        phases.push(pause(component, &simulators, &probe, calm).await?);
    }
    phases.push(temporal_away(&arguments, &probe).await?);
    sleep(calm).await;
    let purchases = load.close().await;
    probe.stop();

    let away = phases.last();
    let presented_alone: Vec<_> = purchases
        .iter()
        .filter(|purchase| away.is_some_and(|away| away.holds(purchase)))
        .collect();
    let mut books = Books {
        api: &api,
        simulators: &simulators,
        merchant_server: &merchant_server,
        outbox: &outbox,
        database: &arguments.database,
        temporal: &arguments.temporal,
        purchases: &purchases,
        canceled: false,
        presented_alone: &presented_alone,
    };
    let started = Instant::now();
    let mut lines = count_until_right(&books).await?;
    if report::is_right(&lines) {
        let canceled = cancel_what_is_open(&buyer, &purchases).await;
        books.canceled = true;
        lines = count_until_right(&books).await?;
        lines.push(canceled);
    }
    report::print(&phases, &purchases, &lines, started.elapsed())?;
    Ok(if report::is_right(&lines) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn count_until_right(books: &Books<'_>) -> anyhow::Result<Vec<Line>> {
    let started = Instant::now();
    loop {
        let lines = books.count().await?;
        if report::is_right(&lines) || started.elapsed() >= SETTLE_WITHIN {
            return Ok(lines);
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Cancels the sales that were left open. Each cancel must complete.
async fn cancel_what_is_open(buyer: &Buyer, purchases: &[Purchase]) -> Line {
    let open: Vec<_> = purchases
        .iter()
        .filter(|purchase| purchase.left_open)
        .collect();
    let mut broken = Vec::new();
    for purchase in &open {
        broken.extend(buyer.cancel(purchase).await.err());
    }
    Line {
        promise: "the cancel of each charge that was left open ended",
        counted: open.len(),
        broken,
    }
}

/// Returns the simulators of all gateways, set to a latency and to frequent repeats of notifications.
async fn prepare(arguments: &Arguments) -> Vec<Simulator> {
    let simulators: Vec<_> = SIMULATORS
        .iter()
        .map(|one| Simulator::new(arguments.simulators.clone(), one.name))
        .collect();
    let again = vec![NOTIFY_AGAIN_S; NOTIFY_AGAIN_TIMES];
    for simulator in &simulators {
        simulator
            .set(json!({ "latency_ms": GATEWAY_LATENCY_MS, "notification_retries_s": again }))
            .await;
    }
    simulators
}

/// Kills a part under load and starts it again.
async fn kill(
    component: Component,
    arguments: &Arguments,
    probe: &Probe,
    (calm, down): (Duration, Duration),
) -> anyhow::Result<Phase> {
    sleep(calm).await;
    let killed = Instant::now();
    component.end("KILL").await?;
    sleep(down).await;
    component.start(&arguments.orchestrator).await?;
    let started = Instant::now();
    sleep(calm).await;
    Ok(Phase {
        what: format!("kill -9 of {component}"),
        began: killed,
        ended: started,
        silence: probe.longest_silence(killed, Instant::now()),
    })
}

/// Stops a part during its attempts (SIGSTOP) for longer than its tasks last, so that other workers take them over; then resumes it
/// (SIGCONT).
async fn pause(
    component: Component,
    simulators: &[Simulator],
    probe: &Probe,
    calm: Duration,
) -> anyhow::Result<Phase> {
    sleep(calm).await;
    for simulator in simulators {
        simulator.set(json!({ "latency_ms": SLOW_MS })).await;
    }
    // by now calls are in flight
    sleep(Duration::from_millis(2 * SLOW_MS)).await;
    let paused = Instant::now();
    component.signal("STOP").await?;
    sleep(PAUSED).await;
    component.signal("CONT").await?;
    let resumed = Instant::now();
    for simulator in simulators {
        simulator
            .set(json!({ "latency_ms": GATEWAY_LATENCY_MS }))
            .await;
    }
    sleep(calm).await;
    Ok(Phase {
        what: format!("SIGSTOP of {component}, then SIGCONT"),
        began: paused,
        ended: resumed,
        silence: probe.longest_silence(paused, Instant::now()),
    })
}

/// Stops Temporal for `away_s`; everything else runs.
async fn temporal_away(arguments: &Arguments, probe: &Probe) -> anyhow::Result<Phase> {
    let began = Instant::now();
    Component::Temporal.end("TERM").await?;
    let stopped = Instant::now();
    sleep(Duration::from_secs(arguments.away_s)).await;
    // until now the charges were presented without Temporal
    let ended = Instant::now();
    Component::Temporal.start(&arguments.orchestrator).await?;
    Ok(Phase {
        what: "Temporal stopped".to_owned(),
        began: stopped,
        ended,
        silence: probe.longest_silence(began, Instant::now()),
    })
}
