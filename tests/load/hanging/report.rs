//! Figures of the phases, as JSON and as a table.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    Rest, Route, Sale,
    watch::{CheckReport, Pool, Probe},
};
use crate::{
    report::Percentiles,
    run::{count, histogram, percentiles, us},
    verdict::{self, Verdict},
};

/// Head of the table.
pub(super) const HEAD: &str = "| phase | load average | sales (refused) | answered | healthy routes p50/p95/p99 ms | diverted p50/p99 | fell back p50/p99 | `/readyz` p50/p99 (failed) | events p50/p99 (failed) | payments p50/p99 (made, missing) | connections in use of |\n\
     | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

/// Latency of requests of one kind.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Timed {
    pub count: usize,
    pub failed: usize,
    pub ms: Percentiles,
}

/// Figures of one phase.
#[derive(Debug, Serialize)]
pub(crate) struct Phase {
    pub name: String,
    pub hangs: bool,
    /// One-minute load average of the machine, before and after the phase.
    pub load_average: [f64; 2],
    pub sales: usize,
    /// Sales answered with any status but 201.
    pub refused: usize,
    /// Number of answers by route, status and gateway.
    pub answered: BTreeMap<String, usize>,
    /// Sales whose route does not contain the hanging gateway, with any status but a refusal: time from when each was due until its
    /// answer. Those without a code count as failed.
    pub healthy: Timed,
    /// Charges whose route begins with the hanging gateway and which went to a healthy one without trying it.
    pub diverted: Timed,
    /// Charges that tried the hanging gateway first.
    pub fell_back: Timed,
    pub readyz: Timed,
    pub events: Timed,
    /// Time from the payment at the gateway until the charge was `paid`.
    pub payments: Timed,
    pub connections: BTreeMap<String, Pool>,
    pub rest: Option<Rest>,
    #[serde(skip)]
    healthy_us: Option<Histogram<u64>>,
}

/// Figures of the whole measurement.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub sales_per_s: u32,
    pub merchants: usize,
    /// p99 of healthy routes with a hanging gateway divided by p99 without: the median of the pairs, and the value of each pair.
    pub p99_ratio: f64,
    pub p99_ratios: Vec<f64>,
    pub p50_ratios: Vec<f64>,
    /// The same ratio over all samples together.
    pub p99_ratio_pooled: f64,
    pub refused: usize,
    /// Number of readings with all connections of a process in use.
    pub pools_full: u64,
    pub verdicts: Vec<Verdict>,
    pub phases: Vec<Phase>,
}

impl Timed {
    fn of(took: impl Iterator<Item = Probe>) -> anyhow::Result<(Self, Histogram<u64>)> {
        let (mut all, mut count, mut failed) = (histogram()?, 0, 0);
        for probe in took {
            count += 1;
            failed += usize::from(!probe.ok);
            all.record(us(probe.took))?;
        }
        let ms = percentiles(&all);
        Ok((Self { count, failed, ms }, all))
    }

    fn cell(&self) -> String {
        if self.count == 0 {
            return "–".to_owned();
        }
        format!(
            "{:.0}/{:.0} ({}, {})",
            self.ms.p50, self.ms.p99, self.count, self.failed
        )
    }
}

impl Phase {
    pub(super) fn of(name: &str, sales: &[Sale]) -> anyhow::Result<Self> {
        let mut answered = BTreeMap::new();
        for sale in sales {
            let gateway = Some(&sale.gateway).filter(|name| !name.is_empty());
            let at = gateway.map(|name| format!(" {name}")).unwrap_or_default();
            let key = format!(
                "{:?} {} {}{at}",
                sale.route, sale.status, sale.charge_status
            );
            *answered.entry(key).or_default() += 1;
        }
        let timed = |wanted: &dyn Fn(&Sale) -> bool| {
            let shown = sales
                .iter()
                .filter(|sale| sale.charge_status == "pending" && wanted(sale));
            Timed::of(shown.map(|sale| Probe {
                ok: true,
                took: sale.took,
            }))
        };
        let healthy = |sale: &&Sale| sale.route == Route::Healthy && sale.status == 201;
        let (healthy, healthy_us) = Timed::of(sales.iter().filter(healthy).map(|sale| Probe {
            ok: sale.charge_status == "pending",
            took: sale.took,
        }))?;
        let elsewhere = |sale: &Sale| sale.route == Route::First && sale.gateway != "stripe";
        Ok(Self {
            name: name.to_owned(),
            hangs: false,
            load_average: [0.0; 2],
            sales: sales.len(),
            refused: sales.iter().filter(|sale| sale.status != 201).count(),
            answered,
            healthy,
            diverted: timed(&|sale| elsewhere(sale) && !sale.fell_back)?.0,
            fell_back: timed(&|sale| elsewhere(sale) && sale.fell_back)?.0,
            readyz: Timed::default(),
            events: Timed::default(),
            payments: Timed::default(),
            connections: BTreeMap::new(),
            rest: None,
            healthy_us: Some(healthy_us),
        })
    }

    pub(super) fn watched(
        &mut self,
        watched: &CheckReport,
        payments: &[Probe],
    ) -> anyhow::Result<()> {
        self.readyz = Timed::of(watched.readyz.iter().copied())?.0;
        self.events = Timed::of(watched.events.iter().copied())?.0;
        self.payments = Timed::of(payments.iter().copied())?.0;
        self.connections.clone_from(&watched.pools);
        Ok(())
    }

    pub(super) fn line(&self) -> String {
        let pools: Vec<_> = self
            .connections
            .iter()
            .map(|(name, pool)| {
                let Pool {
                    max_in_use,
                    size,
                    readings,
                    full,
                } = pool;
                format!("{name} {max_in_use}/{size} (full {full} of {readings})")
            })
            .collect();
        let answered: Vec<_> = self
            .answered
            .iter()
            .map(|(key, count)| format!("{key}: {count}"))
            .collect();
        format!(
            "| {} | {:.1}, {:.1} | {} ({}) | {} | {:.0}/{:.0}/{:.0} | {} | {} | {} | {} | {} | {} |\n",
            self.name,
            self.load_average[0],
            self.load_average[1],
            self.sales,
            self.refused,
            answered.join(", "),
            self.healthy.ms.p50,
            self.healthy.ms.p95,
            self.healthy.ms.p99,
            self.diverted.cell(),
            self.fell_back.cell(),
            self.readyz.cell(),
            self.events.cell(),
            self.payments.cell(),
            pools.join(", "),
        )
    }
}

impl Report {
    pub(super) fn of(
        sales_per_s: u32,
        merchants: usize,
        phases: Vec<Phase>,
    ) -> anyhow::Result<Self> {
        let p = |hangs, of: &dyn Fn(&Phase) -> f64| -> Vec<f64> {
            phases
                .iter()
                .filter(|phase| phase.hangs == hangs)
                .map(of)
                .collect()
        };
        let ratios = |of: &dyn Fn(&Phase) -> f64| -> Vec<f64> {
            let (calm, faulty) = (p(false, of), p(true, of));
            faulty
                .iter()
                .zip(calm)
                .map(|(faulty, calm)| faulty / calm)
                .collect()
        };
        let p99_ratios = ratios(&|phase| phase.healthy.ms.p99);
        let pooled = |hangs| -> anyhow::Result<f64> {
            let mut all = histogram()?;
            let chosen = phases.iter().filter(|phase| phase.hangs == hangs);
            for one in chosen.filter_map(|phase| phase.healthy_us.as_ref()) {
                all.add(one)?;
            }
            Ok(percentiles(&all).p99)
        };
        Ok(Self {
            verdicts: verdicts(&phases, median(&p99_ratios)),
            sales_per_s,
            merchants,
            p99_ratio: median(&p99_ratios),
            p99_ratios,
            p50_ratios: ratios(&|phase| phase.healthy.ms.p50),
            p99_ratio_pooled: pooled(true)? / pooled(false)?,
            refused: phases.iter().map(|phase| phase.refused).sum(),
            pools_full: phases
                .iter()
                .flat_map(|phase| phase.connections.values())
                .map(|pool| pool.full)
                .sum(),
            phases,
        })
    }

    pub(super) fn table(&self) -> String {
        let lines: String = self.phases.iter().map(Phase::line).collect();
        let rests = self.phases.iter().filter_map(|phase| phase.rest.as_ref());
        let rests: String = rests.map(Rest::line).collect();
        format!(
            "{HEAD}{lines}\np99 of healthy routes, one gateway hanging over all answering: {:.2} (pairs: {:.2?}; all samples: {:.2}); p50: {:.2?}; refused: {}; \
             readings with all connections of a process in use: {}\n{rests}\n{}",
            self.p99_ratio,
            self.p99_ratios,
            self.p99_ratio_pooled,
            self.p50_ratios,
            self.refused,
            self.pools_full,
            verdict::list(&self.verdicts),
        )
    }
}

/// Returns the verdicts on the phases with a hanging gateway.
fn verdicts(phases: &[Phase], p99_ratio: f64) -> Vec<Verdict> {
    let faulty: Vec<_> = phases.iter().filter(|phase| phase.hangs).collect();
    let sum = |of: &dyn Fn(&Phase) -> usize| faulty.iter().map(|phase| of(phase)).sum::<usize>();
    // without a reading of a pool's gauge nothing is known of it
    let pools = faulty.iter().flat_map(|phase| phase.connections.values());
    let full = pools.map(|pool| match pool.readings {
        0 => f64::NAN,
        _ => f64::from(u32::try_from(pool.full).unwrap_or(u32::MAX)),
    });
    let full = full.reduce(|sum, one| sum + one).unwrap_or(f64::NAN);
    let paid = sum(&|phase| phase.payments.count - phase.payments.failed);
    let rests: Vec<_> = faulty
        .iter()
        .filter_map(|phase| phase.rest.as_ref())
        .collect();
    let wrong = |rest: &&Rest| {
        rest.lost
            + rest.failed_without_reason
            + rest.pending_not_payable_once
            + rest.payable_twice
            + rest.processing
    };
    vec![
        Verdict::none("sales refused", sum(&|phase| phase.refused)),
        Verdict::at_most(
            "p99 of sales on healthy gateways, one hanging over all answering",
            p99_ratio,
            1.5,
        ),
        Verdict::none(
            "sales on healthy gateways answered without a code",
            sum(&|phase| phase.healthy.failed),
        ),
        Verdict::at_most(
            "readings with all connections of a process in use",
            full,
            0.0,
        ),
        Verdict::none("`/readyz` failed", sum(&|phase| phase.readyz.failed)),
        Verdict::none("reading events failed", sum(&|phase| phase.events.failed)),
        Verdict::at_least("payments registered", count(paid), 1.0),
        Verdict::none(
            "payments not registered within 20 s",
            sum(&|phase| phase.payments.failed),
        ),
        Verdict::none(
            "sales in a wrong state at rest",
            rests.iter().map(wrong).sum(),
        ),
    ]
}

/// Returns the median; of an even number of values, the greater of the two in the middle.
pub(crate) fn median(of: &[f64]) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Returns the machine's load average over one minute.
pub(crate) fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().and_then(|value| value.parse().ok());
    first.unwrap_or(f64::NAN)
}
