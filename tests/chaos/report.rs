//! The actions and their results, as two tables.

use std::{io::Write, time::Duration};

use tokio::time::Instant;

use crate::purchase::Purchase;

/// Maximum number of printed examples per broken promise.
const EXAMPLES: usize = 5;

/// One action on the stack.
pub(crate) struct Phase {
    pub what: String,
    pub began: Instant,
    pub ended: Instant,
    /// Longest time without an answer of the API, from `began` until the calm period had passed.
    pub silence: Duration,
}

impl Phase {
    /// Returns true if the sale was requested during this phase.
    pub(crate) fn holds(&self, purchase: &Purchase) -> bool {
        (self.began..self.ended).contains(&purchase.started)
    }
}

/// A promise, the number of items checked, and the items that broke it.
pub(crate) struct Line {
    pub promise: &'static str,
    pub counted: usize,
    pub broken: Vec<String>,
}

pub(crate) fn is_right(lines: &[Line]) -> bool {
    lines.iter().all(|line| line.broken.is_empty())
}

pub(crate) fn print(
    phases: &[Phase],
    purchases: &[Purchase],
    lines: &[Line],
    settled: Duration,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\n| what happened | for | API silent for | charges asked meanwhile | of them asked again | slowest answer |\n\
         | --- | --- | --- | --- | --- | --- |"
    )?;
    for phase in phases {
        let meanwhile: Vec<_> = purchases
            .iter()
            .filter(|purchase| phase.holds(purchase))
            .collect();
        let again = meanwhile
            .iter()
            .filter(|purchase| purchase.tries > 1)
            .count();
        let slowest = meanwhile
            .iter()
            .map(|purchase| purchase.took)
            .max()
            .unwrap_or_default();
        writeln!(
            out,
            "| {} | {:.1} s | {:.1} s | {} | {again} | {:.1} s |",
            phase.what,
            (phase.ended - phase.began).as_secs_f64(),
            phase.silence.as_secs_f64(),
            meanwhile.len(),
            slowest.as_secs_f64()
        )?;
    }
    writeln!(
        out,
        "\n| counted {:.0} s after the last charge was asked for | of | broken |\n| --- | --- | --- |",
        settled.as_secs_f64()
    )?;
    for line in lines {
        writeln!(
            out,
            "| {} | {} | {} |",
            line.promise,
            line.counted,
            line.broken.len()
        )?;
    }
    for line in lines {
        for broken in line.broken.iter().take(EXAMPLES) {
            writeln!(out, "broken: {}: {broken}", line.promise)?;
        }
    }
    Ok(())
}
