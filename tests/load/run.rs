//! Closed-loop, open-loop and full-life runs.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tests::{Api, Simulator, api::pix};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    Arguments, cpu,
    report::{Percentiles, Row},
};

/// The measured system and the instruments that measure it.
pub(crate) struct Bench {
    pub api: Api,
    pub efi: Simulator,
    database: String,
    pids: PathBuf,
    pub length: Duration,
    next: Arc<AtomicUsize>,
}

/// One request's outcome.
struct Sample {
    description: String,
    status: u16,
    by_efi: bool,
    took: Duration,
}

/// CPU time and write-ahead log position at one moment.
pub(crate) struct Meter {
    cpu: BTreeMap<String, u64>,
    wal: i64,
}

/// End of a run: a time or an event, the first of the two.
pub(crate) struct Until {
    pub length: Duration,
    pub over: CancellationToken,
}

/// A webhook endpoint.
pub(crate) struct Endpoint {
    id: String,
    pub secret: String,
}

impl Bench {
    pub(crate) async fn new(
        arguments: &Arguments,
        api: Api,
        efi: Simulator,
    ) -> anyhow::Result<Self> {
        efi.set(json!({ "latency_ms": arguments.gateway_ms, "auto_pay_ms": null }))
            .await;
        Ok(Self {
            api,
            efi,
            database: arguments.database.clone(),
            pids: arguments.pids.clone(),
            length: Duration::from_secs(arguments.seconds),
            next: Arc::default(),
        })
    }

    /// Runs a closed loop: `at_a_time` callers, each of which sends its next request as soon as it has an answer.
    pub(crate) async fn closed(&self, at_a_time: usize, name: &str) -> anyhow::Result<Row> {
        let before = self.meter().await?;
        let mut row = self.closed_bare(at_a_time, name).await?;
        self.spend(&mut row, &before).await?;
        Ok(row)
    }

    /// Runs a closed loop; the resources used are left to the caller.
    pub(crate) async fn closed_bare(&self, at_a_time: usize, name: &str) -> anyhow::Result<Row> {
        let start = Instant::now();
        let mut callers = JoinSet::new();
        for _ in 0..at_a_time {
            let (api, next, until) = (self.api.clone(), self.next.clone(), start + self.length);
            callers.spawn(async move {
                let mut samples = Vec::new();
                while Instant::now() < until {
                    samples.push(ask(&api, &next, Instant::now()).await);
                }
                samples
            });
        }
        let samples = callers.join_all().await.into_iter().flatten();
        self.bare_row(name, start, samples).await
    }

    /// Runs an open loop: `rate` arrivals a second, independent of the answers.
    pub(crate) async fn open(&self, rate: u32, name: &str) -> anyhow::Result<Row> {
        let before = self.meter().await?;
        let mut row = self.open_bare(rate, name).await?;
        self.spend(&mut row, &before).await?;
        Ok(row)
    }

    /// Runs an open loop; the resources used are left to the caller.
    pub(crate) async fn open_bare(&self, rate: u32, name: &str) -> anyhow::Result<Row> {
        let until = Until {
            length: self.length,
            over: CancellationToken::new(),
        };
        self.open_until(rate, name, &until).await
    }

    /// Runs an open loop until a time or an event, the first of the two.
    pub(crate) async fn open_until(
        &self,
        rate: u32,
        name: &str,
        until: &Until,
    ) -> anyhow::Result<Row> {
        let (start, between) = (Instant::now(), Duration::from_secs(1) / rate);
        let mut asked = JoinSet::new();
        let mut n = 0;
        while between * n < until.length && !until.over.is_cancelled() {
            let due = start + between * n;
            tokio::time::sleep_until(due).await;
            let (api, next) = (self.api.clone(), self.next.clone());
            asked.spawn(async move { ask(&api, &next, due).await });
            n += 1;
        }
        self.bare_row(name, start, asked.join_all().await).await
    }

    /// Registers one webhook endpoint for these events; for all if none is named.
    pub(crate) async fn listen(&self, url: &Url, events: &[&str]) -> anyhow::Result<Endpoint> {
        let wanted = json!({ "url": url, "events": events });
        let endpoint = self.api.post("/v1/webhook_endpoints", &wanted).await;
        anyhow::ensure!(endpoint.status == 201, "{}", endpoint.body);
        let text = |name: &str| endpoint.body[name].as_str().unwrap_or_default().to_owned();
        Ok(Endpoint {
            id: text("id"),
            secret: text("secret"),
        })
    }

    pub(crate) async fn stop_listening(&self, endpoint: &Endpoint) -> anyhow::Result<()> {
        let path = format!("/v1/webhook_endpoints/{}", endpoint.id);
        let gone = self.api.send(Method::DELETE, &path, None, None).await;
        anyhow::ensure!(gone.status.is_success(), "{}", gone.body);
        Ok(())
    }

    /// Sets the gateway's latency in milliseconds.
    pub(crate) async fn latency(&self, ms: u64) {
        self.efi.set(json!({ "latency_ms": ms })).await;
    }

    pub(crate) async fn meter(&self) -> anyhow::Result<Meter> {
        let mut db = PgConnection::connect(&self.database).await?;
        #[expect(
            clippy::disallowed_methods,
            reason = "a measurement, and no part of the store"
        )]
        let (wal,) = sqlx::query_as("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
            .fetch_one(&mut db)
            .await?;
        Ok(Meter {
            cpu: cpu::used_ms(
                &self.pids,
                self.database.rsplit('/').next().unwrap_or_default(),
            ),
            wal,
        })
    }

    async fn bare_row(
        &self,
        name: &str,
        start: Instant,
        samples: impl IntoIterator<Item = Sample>,
    ) -> anyhow::Result<Row> {
        let seconds = start.elapsed().as_secs_f64();
        let spent = self.simulators_own_time().await;
        let (mut added, mut shed_took) = (histogram()?, histogram()?);
        let (mut charges, mut shed, mut other) = (0, 0, 0);
        for sample in samples {
            match sample.status {
                201 if sample.by_efi => {
                    charges += 1;
                    let own = spent.get(&sample.description).copied().unwrap_or_default();
                    added.record(us(sample.took.saturating_sub(own)))?;
                }
                503 => {
                    shed += 1;
                    shed_took.record(us(sample.took))?;
                }
                _ => other += 1,
            }
        }
        Ok(Row {
            seconds,
            charges,
            charges_per_s: count(charges) / seconds,
            shed,
            other,
            added_ms: percentiles(&added),
            shed_ms: percentiles(&shed_took),
            ..Row::named(name)
        })
    }

    /// Divides the resources used since `before` by the run's charges.
    pub(crate) async fn spend(&self, row: &mut Row, before: &Meter) -> anyhow::Result<()> {
        let after = self.meter().await?;
        let charges = count(row.charges.max(1));
        row.wal_bytes_per_charge =
            count(usize::try_from(after.wal - before.wal).unwrap_or(0)) / charges;
        for (name, ms) in after.cpu {
            let used = ms.saturating_sub(before.cpu.get(&name).copied().unwrap_or(0));
            row.cpu_ms_per_charge
                .insert(name, count(usize::try_from(used).unwrap_or(0)) / charges);
        }
        Ok(())
    }

    async fn simulators_own_time(&self) -> HashMap<String, Duration> {
        let own = self.efi.charges().await.into_iter().map(|charge| {
            let description = charge["description"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            (
                description,
                Duration::from_micros(charge["service_us"].as_u64().unwrap_or(0)),
            )
        });
        own.collect()
    }
}

async fn ask(api: &Api, next: &AtomicUsize, due: Instant) -> Sample {
    let description = format!("load {}", next.fetch_add(1, Ordering::Relaxed));
    let mut body = pix();
    body["description"] = Value::String(description.clone());
    let answer = api.post("/v1/charges", &body).await;
    Sample {
        description,
        status: answer.status.as_u16(),
        by_efi: answer.body["gateway"]["kind"] == "efi",
        took: due.elapsed(),
    }
}

pub(crate) fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new(3)?)
}

pub(crate) fn percentiles(of: &Histogram<u64>) -> Percentiles {
    let at =
        |quantile| Duration::from_micros(of.value_at_quantile(quantile)).as_secs_f64() * 1000.0;
    Percentiles {
        p50: at(0.5),
        p95: at(0.95),
        p99: at(0.99),
    }
}

pub(crate) fn us(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1)
}

pub(crate) fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
