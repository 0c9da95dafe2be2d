//! Statements, commits and requests to Temporal of one charge, one payment, one delivery and one life, counted one at a time on an
//! otherwise idle stack.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tests::api::pix;
use tokio::time::sleep;

use crate::{
    counters::{Counted, Counters, Reading},
    listener::Listener,
    run::{Bench, count},
    verdict::Verdict,
};

/// Period in which the counts of the idle stack are taken.
const IDLE: Duration = Duration::from_secs(10);
/// Pause before a reading, in which the work that follows the last answer ends.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// Maximum time until an event arrives.
const RECEIVED_WITHIN: Duration = Duration::from_secs(30);
/// Counts below this share of a unit of work are left out of the table: they belong to the background.
const SHOWN_FROM: f64 = 0.05;

/// Counts of each unit of work.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Costs {
    pub samples: usize,
    /// From the request to its answer and its event; one endpoint exists, which does not receive that event.
    pub charge: Counted,
    /// From the gateway's notification to the charge's event, without its delivery.
    pub payment: Counted,
    /// Of one event to one endpoint.
    pub delivery: Counted,
    /// One charge, one payment, and the delivery of both events.
    pub life: Counted,
    /// Per second, without any charge.
    pub idle: Counted,
}

impl Costs {
    /// Counts `samples` units of each kind.
    pub(crate) async fn count(
        bench: &Bench,
        counters: &mut Counters,
        samples: usize,
    ) -> anyhow::Result<Self> {
        bench.latency(0).await;
        let listener = Listener::open().await?;
        let units = count(samples);
        // the paid event only: the charges have no delivery
        let endpoint = bench.listen(&listener.url, &["charge.paid"]).await?;
        bench.create(1, "cost-warm").await?;
        sleep(AFTERWARDS).await;
        let before = counters.read().await?;
        sleep(IDLE).await;
        let at_rest = counters.read().await?;
        let idle = at_rest.per_second(&before);

        let created = bench.create(samples, "cost").await?;
        let charged = settled(counters).await?;
        let charge = charged.since(&at_rest, &idle, units);
        for (id, reference) in &created {
            bench.efi.pay(reference).await;
            let paid = listener.received("charge.paid", id, RECEIVED_WITHIN).await;
            anyhow::ensure!(paid, "charge.paid of {id} did not arrive");
        }
        let paid = settled(counters).await?;
        let payment_and_delivery = paid.since(&charged, &idle, units);
        bench.stop_listening(&endpoint).await?;

        // the pending event: each charge has a delivery
        let endpoint = bench.listen(&listener.url, &["charge.pending"]).await?;
        let before = settled(counters).await?;
        for (id, _) in bench.create(samples, "cost-delivered").await? {
            let arrived = listener
                .received("charge.pending", &id, RECEIVED_WITHIN)
                .await;
            anyhow::ensure!(arrived, "charge.pending of {id} did not arrive");
        }
        let after = settled(counters).await?;
        let delivery = after.since(&before, &idle, units).less(&charge);
        bench.stop_listening(&endpoint).await?;
        Ok(Self {
            samples,
            life: charge.plus(&payment_and_delivery).plus(&delivery),
            payment: payment_and_delivery.less(&delivery),
            charge,
            delivery,
            idle,
        })
    }

    /// Returns the targets of statements and commits.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        // a fraction belongs to the background
        let whole = |name: &str, value: f64, limit| Verdict::at_most(name, value.round(), limit);
        vec![
            whole("statements per charge", self.charge.statements, 14.0),
            whole("commits per charge", self.charge.commits, 2.0),
            whole("statements per payment", self.payment.statements, 12.0),
            whole("commits per payment", self.payment.commits, 2.0),
        ]
    }

    /// Returns the counts as tables.
    pub(crate) fn table(&self) -> String {
        let kinds = [
            ("charge", &self.charge),
            ("payment", &self.payment),
            ("delivery", &self.delivery),
            ("life (charge, payment, two deliveries)", &self.life),
        ];
        let head = format!(
            "Counts of one unit of work, mean of {}, one at a time, less those of the idle stack ({:.1} statements/s, {:.1} requests/s):\n\n\
             | | statements | commits | requests to Temporal | requests by operation |\n| --- | --- | --- | --- | --- |\n",
            self.samples, self.idle.statements, self.idle.requests
        );
        let lines = kinds.iter().map(|(name, counted)| counted.line(name));
        let details = kinds[..3]
            .iter()
            .map(|(name, counted)| counted.details(name));
        let (lines, details): (String, String) = (lines.collect(), details.collect());
        format!("{head}{lines}\n<details><summary>Statements</summary>\n\n{details}</details>\n")
    }
}

impl Counted {
    /// Returns the counts as a line of the table.
    fn line(&self, name: &str) -> String {
        let operations = shown(&self.by_request).into_iter();
        let operations: Vec<_> = operations
            .map(|(name, n)| format!("{name} {n:.1}"))
            .collect();
        format!(
            "| {name} | {:.1} | {:.1} | {:.1} | {} |\n",
            self.statements,
            self.commits,
            self.requests,
            operations.join(", ")
        )
    }

    /// Returns the statements, most frequent first.
    fn details(&self, name: &str) -> String {
        let statements = shown(&self.by_statement).into_iter();
        let statements: Vec<_> = statements
            .map(|(text, n)| format!("{n:6.2}  {text}\n"))
            .collect();
        let statements = statements.concat();
        format!("{name}:\n\n```\n{statements}```\n\n")
    }
}

/// Returns the counts that belong to the unit of work, most frequent first.
fn shown(counts: &BTreeMap<String, f64>) -> Vec<(&String, f64)> {
    let mut shown: Vec<_> = counts
        .iter()
        .map(|(name, n)| (name, *n))
        .filter(|(_, n)| n.abs() >= SHOWN_FROM)
        .collect();
    shown.sort_by(|a, b| b.1.total_cmp(&a.1));
    shown
}

async fn settled(counters: &mut Counters) -> anyhow::Result<Reading> {
    sleep(AFTERWARDS).await;
    counters.read().await
}

impl Bench {
    /// Creates charges one after the other. Returns each one's id and its reference at the gateway.
    async fn create(&self, times: usize, name: &str) -> anyhow::Result<Vec<(String, String)>> {
        let mut ids = Vec::new();
        for n in 0..times {
            let mut body = pix();
            let description = format!("{name}-{n}");
            body["description"] = json!(description);
            let charge = self.api.charge(&body).await;
            ids.push((text(&charge["id"])?, description));
        }
        // read only now: the simulator's answer is no part of a charge
        let mut created = Vec::new();
        for (id, description) in ids {
            let found = self.efi.about(&description).await;
            let reference = found.first().context("a charge at the gateway")?;
            created.push((id, text(&reference["reference"])?));
        }
        Ok(created)
    }
}

fn text(value: &Value) -> anyhow::Result<String> {
    Ok(value.as_str().context("a text")?.to_owned())
}
