#![doc = include_str!("README.md")]

mod actors;
mod books;
mod borders;
mod database;
mod flows;
mod happen;
mod line;
mod plan;
mod statements;
mod tasks;
mod wire;
mod world;

use chrono::TimeDelta;

pub use books::Checks;
pub use plan::Hardship;
use world::World;

/// Time after the last fault at which the gateways' books and our rows must agree.
const SETTLED_AFTER: TimeDelta = TimeDelta::minutes(20);
/// Number of polls after the last fault: one for lost notifications, one for the consequences of the first.
const POLLS: i32 = 2;
const POLL_EVERY: TimeDelta = TimeDelta::seconds(301);
/// Invariant of which a single observation proves nothing.
const CONNECTIONS_IN_CALLS: u8 = 10;

/// Result of a run.
#[derive(Debug, Default)]
pub struct Report {
    pub seed: u64,
    /// Violated invariants, each with a description.
    pub violations: Vec<(u8, String)>,
    pub trace: Vec<String>,
    pub charges: u64,
    pub stretches: u64,
}

/// Simulation of one process.
pub struct Simulation {
    world: World,
    pub checks: Checks,
    /// Number of repeated runs.
    pub repeated: u64,
}

impl Simulation {
    pub async fn open(hardship: Hardship) -> anyhow::Result<Self> {
        Ok(Self {
            world: Box::pin(World::open(hardship)).await?,
            checks: Checks::new(),
            repeated: 0,
        })
    }

    /// Excludes these invariants from the checks.
    pub fn skip(&mut self, invariants: &[u8]) {
        self.world.borders.lock().skipped = invariants.to_vec();
    }

    /// Runs one seed until rest. A database connection seen in use during a gateway call counts as one on its way back to the pool unless a
    /// second run of the seed shows it again.
    pub async fn run(&mut self, seed: u64) -> anyhow::Result<Report> {
        let report = self.run_once(seed).await?;
        let doubtful = |(invariant, _): &(u8, String)| *invariant == CONNECTIONS_IN_CALLS;
        if report.violations.is_empty() || !report.violations.iter().all(doubtful) {
            return Ok(report);
        }
        self.repeated += 1;
        self.run_once(seed).await
    }

    async fn run_once(&mut self, seed: u64) -> anyhow::Result<Report> {
        let outcome = Box::pin(self.try_run(seed)).await;
        let mut report = self.report(seed);
        if let Err(error) = outcome {
            report
                .violations
                .push((0, format!("the run broke: {error:#}")));
        }
        self.world.leave().await?;
        for (name, times) in std::mem::take(&mut self.world.checks) {
            *self.checks.entry(name).or_default() += times;
        }
        Ok(report)
    }

    fn report(&self, seed: u64) -> Report {
        let mut shared = self.world.borders.lock();
        Report {
            seed,
            violations: std::mem::take(&mut shared.violations),
            trace: std::mem::take(&mut shared.trace),
            charges: u64::try_from(self.world.plan.orders.len()).unwrap_or_default(),
            stretches: self.world.stretches,
        }
    }

    async fn try_run(&mut self, seed: u64) -> anyhow::Result<()> {
        let (world, checks) = (&mut self.world, &mut self.checks);
        world.begin(seed).await?;
        let healed_at = world.plan.healed_at;
        Box::pin(world.drive(Some(healed_at))).await?;
        world.heal();
        if !Box::pin(world.drive(Some(healed_at + SETTLED_AFTER))).await? && world.is_broken() {
            return Ok(());
        }
        world.check_settled(checks).await?;
        for n in 1..=POLLS {
            world.poll(POLL_EVERY * n);
        }
        if !Box::pin(world.drive(None)).await? {
            return Ok(());
        }
        world.check_at_rest(checks).await
    }

    /// Drops the database.
    pub async fn close(self) -> anyhow::Result<()> {
        self.world.close().await
    }
}
