//! Figures of a run, as JSON and as a table.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    costs::Costs,
    cpu::{POSTGRES, POSTGRES_FOR_TEMPORAL, POSTGRES_SHARED},
    sender::Sent,
    verdict::{self, Verdict},
};

/// Processes of the product.
const OURS: [&str; 3] = ["api", "worker", "relay"];

/// Figures of one run.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Row {
    pub name: String,
    pub seconds: f64,
    /// Number of charges presented.
    pub charges: usize,
    pub charges_per_s: f64,
    /// Number of requests refused at once (503).
    pub shed: usize,
    /// Number of requests with another answer, or presented by another gateway than the first.
    pub other: usize,
    /// Added latency of the presented charges in milliseconds.
    pub added_ms: Percentiles,
    /// Latency of the refused requests in milliseconds.
    pub shed_ms: Percentiles,
    /// Number of charges created, paid and delivered, where that was measured.
    pub lives: Option<usize>,
    pub lives_per_s: Option<f64>,
    pub deliveries_per_s: Option<f64>,
    /// CPU milliseconds per charge, by process.
    pub cpu_ms_per_charge: BTreeMap<String, f64>,
    pub wal_bytes_per_charge: f64,
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

/// CPU milliseconds by purpose. PostgreSQL's shared work is divided in proportion to that of the connections.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Split {
    /// The product's processes.
    pub ours: f64,
    pub postgres_for_us: f64,
    pub postgres_for_temporal: f64,
    pub temporal: f64,
}

/// All figures of one profile.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Results {
    /// Commit and date of the measurement.
    pub measured: String,
    /// One-minute load average of the machine, before and after.
    pub load_average: [f64; 2],
    pub rows: Vec<Row>,
    pub sent: Sent,
    pub costs: Costs,
    pub verdicts: Vec<Verdict>,
}

/// Head of the table.
pub(crate) const HEAD: &str = "| run | charges/s | added p50/p95/p99 ms | shed (p99 ms) | lives/s (of all) | deliveries/s | CPU ms per charge: ours + PostgreSQL for us; PostgreSQL for Temporal, Temporal | WAL kB per charge |\n\
     | --- | --- | --- | --- | --- | --- | --- | --- |\n";

impl Row {
    /// Returns a row without figures.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Returns the row as a line of the table.
    pub(crate) fn line(&self) -> String {
        let optional = |value: Option<f64>| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"))
        };
        let lives = self.lives.map_or_else(
            || "–".to_owned(),
            |lives| format!("{} ({lives}/{})", optional(self.lives_per_s), self.charges),
        );
        format!(
            "| {} | {:.1} | {:.1}/{:.1}/{:.1} | {} ({:.0}) | {} | {} | {} | {:.1} |\n",
            self.name,
            self.charges_per_s,
            self.added_ms.p50,
            self.added_ms.p95,
            self.added_ms.p99,
            self.shed,
            self.shed_ms.p99,
            lives,
            optional(self.deliveries_per_s),
            self.split().cell(),
            self.wal_bytes_per_charge / 1000.0,
        )
    }

    /// Returns the CPU time per charge by purpose.
    pub(crate) fn split(&self) -> Split {
        let of = |name: &str| self.cpu_ms_per_charge.get(name).copied().unwrap_or(0.0);
        let (us, temporal) = (of(POSTGRES), of(POSTGRES_FOR_TEMPORAL));
        let connections = (us + temporal).max(f64::MIN_POSITIVE);
        let shared = 1.0 + of(POSTGRES_SHARED) / connections;
        Split {
            ours: OURS.into_iter().map(of).sum(),
            postgres_for_us: us * shared,
            postgres_for_temporal: temporal * shared,
            temporal: of("temporal"),
        }
    }
}

impl Split {
    fn each(&self, of: impl Fn(&Self) -> f64, other: &Self, with: impl Fn(f64, f64) -> f64) -> f64 {
        with(of(self), of(other))
    }

    pub(crate) fn less(&self, other: &Self) -> Self {
        let less = |of: fn(&Self) -> f64| self.each(of, other, |mine, theirs| mine - theirs);
        Self {
            ours: less(|one| one.ours),
            postgres_for_us: less(|one| one.postgres_for_us),
            postgres_for_temporal: less(|one| one.postgres_for_temporal),
            temporal: less(|one| one.temporal),
        }
    }

    pub(crate) fn divided_by(&self, by: f64) -> Self {
        Self {
            ours: self.ours / by,
            postgres_for_us: self.postgres_for_us / by,
            postgres_for_temporal: self.postgres_for_temporal / by,
            temporal: self.temporal / by,
        }
    }

    /// Returns what the product and PostgreSQL for it use.
    pub(crate) fn without_temporal(&self) -> f64 {
        self.ours + self.postgres_for_us
    }

    pub(crate) fn cell(&self) -> String {
        format!(
            "{:.1} + {:.1} = {:.1}; {:.1}, {:.1}",
            self.ours,
            self.postgres_for_us,
            self.without_temporal(),
            self.postgres_for_temporal,
            self.temporal
        )
    }
}

impl Results {
    fn section(&self, profile: &str) -> String {
        let title = match profile {
            "postgres" => "Temporal on PostgreSQL",
            _ => "Temporal's dev server",
        };
        let lines: String = self.rows.iter().map(Row::line).collect();
        format!(
            "## {title}\n\nMeasured {}; load average {:.1} before, {:.1} after.\n\n{HEAD}{lines}\n{}\n{}\n{}\n",
            self.measured,
            self.load_average[0],
            self.load_average[1],
            self.sent.line(),
            self.costs.table(),
            verdict::list(&self.verdicts),
        )
    }
}

/// Replaces a profile's figures in `results.json`, and writes `results.md` with those of all profiles.
pub(crate) fn write(folder: &Path, profile: &str, results: Results) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join("results.json");
    let stored = fs::read_to_string(&path).unwrap_or_default();
    let mut all: BTreeMap<String, Results> = serde_json::from_str(&stored).unwrap_or_default();
    all.insert(profile.to_owned(), results);
    fs::write(path, serde_json::to_string_pretty(&all)? + "\n")?;
    let sections: String = all.iter().map(|(name, of)| of.section(name)).collect();
    let head = "# Load\n\nWritten by `make bench` and `TEMPORAL=postgres make bench`; every figure belongs to the machine and the sitting.\n\n";
    fs::write(
        folder.join("results.md"),
        head.to_owned() + sections.trim_end() + "\n",
    )?;
    Ok(())
}
