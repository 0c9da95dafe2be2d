//! The scenarios of `compare.sh`: the few figures in which two builds are compared.

use std::{fs, path::Path};

use serde::Serialize;

use crate::{
    print,
    report::{HEAD, Row},
    run::Bench,
    sender::Sent,
};

const SATURATED: [usize; 2] = [8, 16];
const LIVES_AT_A_TIME: usize = 16;

/// Figures of one build in one round.
#[derive(Debug, Serialize)]
struct Figures {
    charges_per_s: f64,
    lives_per_s: f64,
    c1_p50_ms: f64,
    /// CPU milliseconds of the product and of PostgreSQL for it, at saturation.
    cpu_ms_per_charge: f64,
    cpu_ms_per_life: f64,
    cpu_ms_per_delivery: f64,
    deliveries_per_s: f64,
    rows: Vec<Row>,
    sent: Sent,
}

/// Runs the scenarios and writes the figures to `path`.
pub(crate) async fn run(bench: &Bench, path: &Path) -> anyhow::Result<()> {
    print(HEAD)?;
    let one = bench.closed(1, "closed, 1 at a time").await?;
    print(&one.line())?;
    let mut rows = vec![one];
    for n in SATURATED {
        let row = bench.closed(n, &format!("closed, {n} at a time")).await?;
        print(&row.line())?;
        rows.push(row);
    }
    let name = format!("full lives, {LIVES_AT_A_TIME} at a time");
    let lives = bench.closed_lives(LIVES_AT_A_TIME, &name).await?;
    print(&lives.line())?;
    let sent = Sent::measure(bench).await?;
    print(&sent.line())?;
    let most = |all: &[Row]| all.iter().map(|row| row.charges_per_s).fold(0.0, f64::max);
    let figures = Figures {
        charges_per_s: most(&rows),
        lives_per_s: lives.lives_per_s.unwrap_or(0.0),
        c1_p50_ms: rows[0].added_ms.p50,
        cpu_ms_per_charge: rows[2].split().without_temporal(),
        cpu_ms_per_life: lives.split().without_temporal(),
        cpu_ms_per_delivery: sent.cpu_ms.without_temporal(),
        deliveries_per_s: sent.deliveries_per_s,
        rows: [rows, vec![lives]].concat(),
        sent,
    };
    Ok(fs::write(
        path,
        serde_json::to_string_pretty(&figures)? + "\n",
    )?)
}
