//! A run's figures, as JSON and as a table.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use serde::Serialize;

/// One run.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub name: String,
    pub seconds: f64,
    /// Charges presented.
    pub charges: usize,
    pub charges_per_s: f64,
    /// Refused at once (503).
    pub shed: usize,
    /// Answered otherwise, or presented by another gateway than the first.
    pub other: usize,
    /// Of those presented, in milliseconds.
    pub added_ms: Percentiles,
    /// Of those refused, in milliseconds.
    pub shed_ms: Percentiles,
    /// Created, paid and delivered, where that was measured.
    pub lives: Option<usize>,
    pub lives_per_s: Option<f64>,
    pub deliveries_per_s: Option<f64>,
    /// CPU milliseconds per charge, by process.
    pub cpu_ms_per_charge: BTreeMap<String, f64>,
    pub wal_bytes_per_charge: f64,
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

/// Writes `results.json` and `results.md`, and prints the latter.
pub(crate) fn write(folder: &Path, rows: &[Row]) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(
        folder.join("results.json"),
        serde_json::to_string_pretty(rows)? + "\n",
    )?;
    let mut text = String::from(
        "| run | charges/s | added p50/p95/p99 ms | shed (p99 ms) | lives/s (of all) | deliveries/s | CPU ms per charge | WAL kB per charge |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let cpu: Vec<_> = row
            .cpu_ms_per_charge
            .iter()
            .map(|(name, ms)| format!("{name} {ms:.1}"))
            .collect();
        let optional = |value: Option<f64>| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"))
        };
        let lives = row.lives.map_or_else(
            || "–".to_owned(),
            |lives| format!("{} ({lives}/{})", optional(row.lives_per_s), row.charges),
        );
        writeln!(
            text,
            "| {} | {:.1} | {:.1}/{:.1}/{:.1} | {} ({:.0}) | {} | {} | {} | {:.1} |",
            row.name,
            row.charges_per_s,
            row.added_ms.p50,
            row.added_ms.p95,
            row.added_ms.p99,
            row.shed,
            row.shed_ms.p99,
            lives,
            optional(row.deliveries_per_s),
            cpu.join(", "),
            row.wal_bytes_per_charge / 1000.0,
        )?;
    }
    fs::write(folder.join("results.md"), &text)?;
    Ok(std::io::Write::write_all(
        &mut std::io::stdout(),
        text.as_bytes(),
    )?)
}
