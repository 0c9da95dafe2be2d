//! Measures everything but sales during a phase: readiness, events, payments and database connections.

use std::{collections::BTreeMap, time::Duration};

use reqwest::Client;
use serde::Serialize;
use tests::Api;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Hanging, lock};

/// Interval between two requests to `/readyz`, and between two to `/v1/events`.
const PROBE_EVERY: Duration = Duration::from_millis(250);
/// Interval between two readings of a process's metrics.
const READ_EVERY: Duration = Duration::from_millis(100);
/// Interval between two payments.
const PAY_EVERY: Duration = Duration::from_secs(1);
/// Time after which a payment that is not registered counts as failed.
const PAID_WITHIN: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(25);

/// Database connections of one process.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Pool {
    pub max_in_use: u64,
    pub size: u64,
    pub readings: u64,
    /// Number of readings with all connections in use.
    pub full: u64,
}

/// Results of watching until the end of the phase.
pub(super) struct CheckReport {
    pub readyz: Vec<Probe>,
    pub events: Vec<Probe>,
    pub pools: BTreeMap<String, Pool>,
}

/// Result of one request.
#[derive(Clone, Copy)]
pub(super) struct Probe {
    pub ok: bool,
    pub took: Duration,
}

impl Hanging {
    pub(super) async fn watch(&self, over: &CancellationToken) -> CheckReport {
        let api = &self.merchants[0].api;
        let client = tests::http();
        let reading = futures::future::join_all(self.metrics.iter().map(|(name, url)| {
            let client = client.clone();
            async move { (name.clone(), read_pool(&client, url, over).await) }
        }));
        let (readyz, events, pools) = tokio::join!(
            probe(&client, api, "/readyz", over),
            probe(&client, api, "/v1/events?limit=20", over),
            reading,
        );
        CheckReport {
            readyz,
            events,
            pools: pools.into_iter().collect(),
        }
    }

    /// Pays a charge every second. Returns the time until each was `paid`.
    pub(super) async fn pay(&self, until: Instant) -> Vec<Probe> {
        let mut paying = JoinSet::new();
        let mut at = Instant::now() + PAY_EVERY;
        while at < until {
            sleep_until(at).await;
            at += PAY_EVERY;
            let Some((api, id, gateway, description)) = lock(&self.payable).pop() else {
                continue;
            };
            let simulator = self.simulator(&gateway).clone();
            paying.spawn(async move {
                let found = simulator.about(&description).await;
                let reference = found
                    .first()
                    .and_then(|charge| charge["reference"].as_str());
                simulator.pay(reference.unwrap_or_default()).await;
                let began = Instant::now();
                while began.elapsed() < PAID_WITHIN {
                    if api.show(&id).await["status"] == "paid" {
                        break;
                    }
                    sleep(AGAIN).await;
                }
                let took = began.elapsed();
                Probe {
                    ok: took < PAID_WITHIN,
                    took,
                }
            });
        }
        paying.join_all().await
    }
}

async fn probe(client: &Client, api: &Api, path: &str, over: &CancellationToken) -> Vec<Probe> {
    let Ok(url) = api.base.join(path) else {
        return Vec::new();
    };
    let mut probes = Vec::new();
    while !over.is_cancelled() {
        let began = Instant::now();
        let answer = client.get(url.clone()).bearer_auth(&api.key).send().await;
        let ok = match answer {
            Ok(answer) if answer.status().is_success() => answer.bytes().await.is_ok(),
            Ok(_) | Err(_) => false,
        };
        probes.push(Probe {
            ok,
            took: began.elapsed(),
        });
        sleep(PROBE_EVERY).await;
    }
    probes
}

async fn read_pool(client: &Client, url: &Url, over: &CancellationToken) -> Pool {
    let mut pool = Pool::default();
    while !over.is_cancelled() {
        if let Ok(answer) = client.get(url.clone()).send().await
            && let Ok(text) = answer.text().await
        {
            let in_use = gauge(&text, "database_connections_in_use");
            pool.max_in_use = pool.max_in_use.max(in_use.unwrap_or(0));
            pool.size = gauge(&text, "database_connections_max").unwrap_or(0);
            pool.readings += u64::from(in_use.is_some());
            pool.full += u64::from(in_use.is_some_and(|in_use| in_use >= pool.size));
        }
        sleep(READ_EVERY).await;
    }
    pool
}

fn gauge(metrics: &str, name: &str) -> Option<u64> {
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}
