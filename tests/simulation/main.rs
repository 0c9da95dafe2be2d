//! Long form of the simulation: `simulation --seeds 1..20000`.

use std::{io::Write, time::Instant};

use clap::{Parser, ValueEnum};
use tests::simulation::{Hardship, Simulation};

/// Kinds of hardship that a run can leave out.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Hardships {
    Dashboards,
    Crashes,
    Faults,
}

/// Runs the seeded simulation over a range of seeds.
#[derive(Parser)]
struct Arguments {
    /// `FROM..TO`, without TO; or one seed.
    #[arg(long)]
    seeds: String,
    /// Minimum number of charges per run.
    #[arg(long, default_value_t = 5)]
    charges: u64,
    /// Leaves out a kind of hardship; may be repeated.
    #[arg(long, value_enum)]
    without: Vec<Hardships>,
    /// Prints the trace of each run, even without a violation.
    #[arg(long)]
    trace: bool,
    /// Does not check this invariant; may be repeated.
    #[arg(long)]
    skip: Vec<u8>,
    /// Ends at the first violation.
    #[arg(long)]
    first: bool,
}

fn range(text: &str) -> anyhow::Result<std::ops::Range<u64>> {
    if let Some((from, to)) = text.split_once("..") {
        return Ok(from.parse()?..to.parse()?);
    }
    let seed = text.parse()?;
    Ok(seed..seed + 1)
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let failed = runtime.block_on(Box::pin(run(&arguments)))?;
    std::process::exit(i32::from(failed > 0));
}

async fn run(arguments: &Arguments) -> anyhow::Result<u64> {
    let mut out = std::io::stdout();
    let hardship = Hardship {
        dashboards: !arguments.without.contains(&Hardships::Dashboards),
        crashes: !arguments.without.contains(&Hardships::Crashes),
        faults: !arguments.without.contains(&Hardships::Faults),
        charges: arguments.charges,
    };
    let mut simulation = Simulation::open(hardship).await?;
    simulation.skip(&arguments.skip);
    let began = Instant::now();
    let (mut runs, mut charges, mut failed) = (0_u64, 0, 0);
    for seed in range(&arguments.seeds)? {
        let report = simulation.run(seed).await?;
        runs += 1;
        charges += report.charges;
        let bad = !report.violations.is_empty();
        if bad || arguments.trace {
            for line in report.trace.iter().filter(|_| arguments.trace) {
                writeln!(out, "{line}")?;
            }
        }
        if bad {
            failed += 1;
            writeln!(
                out,
                "seed {seed}: tests/simulation/run.sh --seeds {seed} --trace"
            )?;
            for (invariant, what) in &report.violations {
                writeln!(out, "  invariant {invariant}: {what}")?;
            }
        }
        if runs.is_multiple_of(100) {
            let s = began.elapsed().as_secs();
            writeln!(
                out,
                "{runs} runs, {charges} charges, {failed} with violations, {s} s, next {}",
                seed + 1
            )?;
        }
        if bad && arguments.first {
            break;
        }
    }
    let s = began.elapsed().as_secs();
    writeln!(
        out,
        "{runs} runs, {charges} charges, {failed} with violations, {} repeated, {s} s",
        simulation.repeated
    )?;
    for ((invariant, name), times) in &simulation.checks {
        writeln!(out, "{invariant:>3}  {name}: {times}")?;
    }
    simulation.close().await?;
    Ok(failed)
}
