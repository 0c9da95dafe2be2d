//! Full lives: charges that are created, paid at once, and whose payment is delivered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tests::{MerchantServer, api::pix, merchant_server::ReceivedWebhook};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    listener::Listener,
    report::Row,
    run::{Bench, count},
};

/// Maximum time from the last arrival until its payment is delivered.
const LATEST: Duration = Duration::from_secs(20);
const POLL_EVERY: Duration = Duration::from_millis(50);
/// Time from a charge's creation until its payer pays.
const PAID_AFTER_MS: u64 = 50;

impl Bench {
    /// Runs an open loop in which every charge is paid at once. Ends when the last payment was delivered.
    pub(crate) async fn lives(
        &self,
        rate: u32,
        merchant_server: &MerchantServer,
        name: &str,
    ) -> anyhow::Result<Row> {
        self.efi.set(json!({ "auto_pay_ms": PAID_AFTER_MS })).await;
        let received_before = merchant_server.arrived().len();
        let (before, start) = (self.meter().await?, Instant::now());
        let mut row = self.open_bare(rate, name).await?;
        let paid = |arrived: &[ReceivedWebhook]| {
            let paid = |webhook: &&ReceivedWebhook| webhook.event["type"] == "charge.paid";
            arrived.iter().filter(paid).count()
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
        let lives = paid(&received[received_before..]);
        self.spend(&mut row, &before).await?;
        row.lives = Some(lives);
        row.lives_per_s = Some(count(lives) / seconds);
        row.deliveries_per_s = Some(count(received.len() - received_before) / seconds);
        self.efi.set(json!({ "auto_pay_ms": null })).await;
        Ok(row)
    }

    /// Runs a closed loop of lives: `at_a_time` callers, each of which creates its next charge when the payment of the one before was
    /// delivered. One endpoint receives all events.
    pub(crate) async fn closed_lives(&self, at_a_time: usize, name: &str) -> anyhow::Result<Row> {
        let listener = Arc::new(Listener::open().await?);
        let endpoint = self.listen(&listener.url, &[]).await?;
        self.efi.set(json!({ "auto_pay_ms": PAID_AFTER_MS })).await;
        let (before, start) = (self.meter().await?, Instant::now());
        let (until, refused) = (start + self.length, Arc::<AtomicUsize>::default());
        let mut callers = JoinSet::new();
        for _ in 0..at_a_time {
            let (api, listener, refused) = (self.api.clone(), listener.clone(), refused.clone());
            callers.spawn(async move {
                let (mut charges, mut lives) = (0, 0);
                while Instant::now() < until {
                    let charge = api.post("/v1/charges", &pix()).await;
                    let id = charge.body["id"].as_str().unwrap_or_default();
                    if charge.status != 201 {
                        refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    charges += 1;
                    lives += usize::from(listener.received("charge.paid", id, LATEST).await);
                }
                (charges, lives)
            });
        }
        let done = callers.join_all().await;
        let (charges, lives) = done
            .iter()
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let seconds = start.elapsed().as_secs_f64();
        let mut row = Row {
            seconds,
            charges,
            charges_per_s: count(charges) / seconds,
            shed: refused.load(Ordering::Relaxed),
            lives: Some(lives),
            lives_per_s: Some(count(lives) / seconds),
            ..Row::named(name)
        };
        self.spend(&mut row, &before).await?;
        self.efi.set(json!({ "auto_pay_ms": null })).await;
        self.stop_listening(&endpoint).await?;
        Ok(row)
    }
}
