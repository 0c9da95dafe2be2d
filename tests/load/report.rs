//! Figures of a run, as JSON and as a table.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Serialize;

/// Figures of one run.
#[derive(Debug, Serialize)]
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
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

/// Head of the table.
pub(crate) const HEAD: &str = "| run | charges/s | added p50/p95/p99 ms | shed (p99 ms) | lives/s (of all) | deliveries/s | CPU ms per charge | WAL kB per charge |\n\
     | --- | --- | --- | --- | --- | --- | --- | --- |\n";

impl Row {
    /// Returns the row as a line of the table.
    pub(crate) fn line(&self) -> String {
        let cpu: Vec<_> = self
            .cpu_ms_per_charge
            .iter()
            .map(|(name, ms)| format!("{name} {ms:.1}"))
            .collect();
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
            cpu.join(", "),
            self.wal_bytes_per_charge / 1000.0,
        )
    }
}

/// Writes `results.json` and `results.md`.
pub(crate) fn write(folder: &Path, rows: &[Row]) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let json = serde_json::to_string_pretty(rows)? + "\n";
    fs::write(folder.join("results.json"), json)?;
    let lines: String = rows.iter().map(Row::line).collect();
    fs::write(folder.join("results.md"), format!("{HEAD}{lines}"))?;
    Ok(())
}
