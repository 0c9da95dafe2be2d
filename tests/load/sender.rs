//! Deliveries alone: each charge has one event for ten endpoints. The same load without an endpoint is subtracted.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tests::Receiver;
use tokio::time::{Instant, sleep};

use crate::{
    report::Split,
    run::{Bench, count},
};

const ENDPOINTS: usize = 10;
/// Charges in progress at a time.
const AT_A_TIME: usize = 8;
/// Maximum time from the last charge until its event has reached all endpoints.
const LATEST: Duration = Duration::from_mins(2);
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Figures of the deliveries.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Sent {
    pub events: usize,
    pub deliveries: usize,
    /// Deliveries that did not arrive.
    pub missing: usize,
    /// While their charges were created as well, until the last one arrived.
    pub deliveries_per_s: f64,
    /// CPU milliseconds per delivery.
    pub cpu_ms: Split,
}

impl Sent {
    pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Self> {
        bench.latency(0).await;
        let before = bench.meter().await?;
        let mut row = bench.closed_bare(AT_A_TIME, "no endpoint").await?;
        bench.spend(&mut row, &before).await?;
        let without = row.split();

        let (mut receivers, mut endpoints) = (Vec::new(), Vec::new());
        for _ in 0..ENDPOINTS {
            let receiver = Receiver::open().await;
            endpoints.push(bench.listen(&receiver.url, &["charge.pending"]).await?);
            receivers.push(receiver);
        }
        let (before, start) = (bench.meter().await?, Instant::now());
        let mut row = bench.closed_bare(AT_A_TIME, "ten endpoints").await?;
        let deliveries = row.charges * ENDPOINTS;
        let received = || {
            receivers
                .iter()
                .map(|one| one.arrived().len())
                .sum::<usize>()
        };
        let deadline = Instant::now() + LATEST;
        while received() < deliveries && Instant::now() < deadline {
            sleep(POLL_EVERY).await;
        }
        let seconds = start.elapsed().as_secs_f64();
        bench.spend(&mut row, &before).await?;
        for endpoint in endpoints {
            bench.stop_listening(&endpoint).await?;
        }
        let endpoints = count(ENDPOINTS);
        Ok(Self {
            events: row.charges,
            deliveries,
            missing: deliveries.saturating_sub(received()),
            deliveries_per_s: count(received()) / seconds,
            cpu_ms: row.split().less(&without).divided_by(endpoints),
        })
    }

    pub(crate) fn line(&self) -> String {
        format!(
            "Deliveries alone ({} events to {ENDPOINTS} endpoints, {AT_A_TIME} charges at a time): {:.0}/s ({} missing); \
             CPU ms per delivery, less the same charges without an endpoint: {}\n",
            self.events,
            self.deliveries_per_s,
            self.missing,
            self.cpu_ms.cell()
        )
    }
}
