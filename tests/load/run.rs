//! Closed-loop, open-loop and full-life runs.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tests::{Api, MerchantServer, Simulator, api::pix};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    Arguments, cpu,
    report::{Percentiles, Row},
};

/// Maximum time from the last arrival until its payment is delivered.
const LATEST: Duration = Duration::from_secs(20);
const POLL_EVERY: Duration = Duration::from_millis(50);

/// The measured system and the instruments that measure it.
pub(crate) struct Bench {
    api: Api,
    efi: Simulator,
    database: String,
    pids: PathBuf,
    length: Duration,
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
struct Meter {
    cpu: BTreeMap<String, u64>,
    wal: i64,
    at: Instant,
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
        let (before, samples) = (self.meter().await?, Arc::<Mutex<Vec<Sample>>>::default());
        let until = Instant::now() + self.length;
        let mut callers = JoinSet::new();
        for _ in 0..at_a_time {
            let (api, next, samples) = (self.api.clone(), self.next.clone(), samples.clone());
            callers.spawn(async move {
                while Instant::now() < until {
                    let sample = ask(&api, &next, Instant::now()).await;
                    samples
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(sample);
                }
            });
        }
        while callers.join_next().await.is_some() {}
        self.row(name, &before, samples).await
    }

    /// Runs an open loop: `rate` arrivals a second, independent of the answers.
    pub(crate) async fn open(&self, rate: u32, quiet: bool, name: &str) -> anyhow::Result<Row> {
        let (before, samples) = (self.meter().await?, Arc::<Mutex<Vec<Sample>>>::default());
        let (start, between) = (Instant::now(), Duration::from_secs(1) / rate);
        let mut asked = JoinSet::new();
        let mut n = 0;
        while between * n < self.length {
            let due = start + between * n;
            tokio::time::sleep_until(due).await;
            let (api, next, samples) = (self.api.clone(), self.next.clone(), samples.clone());
            asked.spawn(async move {
                let sample = ask(&api, &next, due).await;
                samples
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(sample);
            });
            n += 1;
        }
        while asked.join_next().await.is_some() {}
        if quiet {
            return self.bare_row(name, &before, samples).await;
        }
        self.row(name, &before, samples).await
    }

    /// Registers one webhook endpoint, served by this process, for these events; for all if none is named.
    pub(crate) async fn listen(
        &self,
        merchant_server: &MerchantServer,
        events: &[&str],
    ) -> anyhow::Result<String> {
        let wanted = json!({ "url": merchant_server.url, "events": events });
        let endpoint = self.api.post("/v1/webhook_endpoints", &wanted).await;
        anyhow::ensure!(endpoint.status == 201, "{}", endpoint.body);
        merchant_server.trust(endpoint.body["secret"].as_str().unwrap_or_default());
        Ok(endpoint.body["id"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) async fn stop_listening(&self, endpoint: &str) -> anyhow::Result<()> {
        let path = format!("/v1/webhook_endpoints/{endpoint}");
        let gone = self.api.send(Method::DELETE, &path, None, None).await;
        anyhow::ensure!(gone.status.is_success(), "{}", gone.body);
        Ok(())
    }

    /// Runs an open loop in which every charge is paid at once. Ends when the last payment was delivered.
    pub(crate) async fn lives(
        &self,
        rate: u32,
        merchant_server: &MerchantServer,
        name: &str,
    ) -> anyhow::Result<Row> {
        self.efi.set(json!({ "auto_pay_ms": 50 })).await;
        let (before, received_before, start) = (
            self.meter().await?,
            merchant_server.arrived().len(),
            Instant::now(),
        );
        let mut row = self.open(rate, true, name).await?;
        let paid = |arrived: &[tests::merchant_server::ReceivedWebhook]| {
            arrived
                .iter()
                .filter(|a| a.event["type"] == "charge.paid")
                .count()
        };
        // a payment that is late by then was left to the sweep and is no full life
        let deadline = Instant::now() + LATEST;
        while paid(&merchant_server.arrived()[received_before..]) < row.charges
            && Instant::now() < deadline
        {
            sleep(POLL_EVERY).await;
        }
        let received = merchant_server.arrived();
        let seconds = start.elapsed().as_secs_f64();
        let (lives, deliveries) = (
            paid(&received[received_before..]),
            received.len() - received_before,
        );
        self.spend(&mut row, &before).await?;
        row.lives = Some(lives);
        row.lives_per_s = Some(count(lives) / seconds);
        row.deliveries_per_s = Some(count(deliveries) / seconds);
        self.efi.set(json!({ "auto_pay_ms": null })).await;
        Ok(row)
    }

    async fn meter(&self) -> anyhow::Result<Meter> {
        let mut db = PgConnection::connect(&self.database).await?;
        #[expect(
            clippy::disallowed_methods,
            reason = "a measurement, and no part of the store"
        )]
        let (wal,) = sqlx::query_as("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
            .fetch_one(&mut db)
            .await?;
        Ok(Meter {
            cpu: cpu::used_ms(&self.pids),
            wal,
            at: Instant::now(),
        })
    }

    async fn row(
        &self,
        name: &str,
        before: &Meter,
        samples: Arc<Mutex<Vec<Sample>>>,
    ) -> anyhow::Result<Row> {
        let mut row = self.bare_row(name, before, samples).await?;
        self.spend(&mut row, before).await?;
        Ok(row)
    }

    async fn bare_row(
        &self,
        name: &str,
        before: &Meter,
        samples: Arc<Mutex<Vec<Sample>>>,
    ) -> anyhow::Result<Row> {
        let seconds = before.at.elapsed().as_secs_f64();
        let samples = std::mem::take(&mut *samples.lock().unwrap_or_else(PoisonError::into_inner));
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
            name: name.to_owned(),
            seconds,
            charges,
            charges_per_s: count(charges) / seconds,
            shed,
            other,
            added_ms: percentiles(&added),
            shed_ms: percentiles(&shed_took),
            lives: None,
            lives_per_s: None,
            deliveries_per_s: None,
            cpu_ms_per_charge: BTreeMap::new(),
            wal_bytes_per_charge: 0.0,
        })
    }

    /// Divides the resources used since `before` by the run's charges.
    async fn spend(&self, row: &mut Row, before: &Meter) -> anyhow::Result<()> {
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
