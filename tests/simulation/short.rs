//! Short form of the simulation: seeds that failed once, and as many others as fit into `TIME`.

use std::time::{Duration, Instant};

use tests::simulation::{Hardship, Simulation};

/// Seeds that found faults, which have been fixed.
const KEPT: [u64; 8] = [4, 11, 12, 18, 19, 25, 42, 52];
/// First of the other seeds.
const FIRST: u64 = 1_000;
const MOST: u64 = 200;
/// Time after which no run starts.
const TIME: Duration = Duration::from_mins(2);

#[test]
fn every_invariant_holds_at_rest() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(Box::pin(async {
        let mut simulation = Simulation::open(Hardship::default())
            .await
            .expect("a database: run tests with `make test`, which starts the services");
        let began = Instant::now();
        for seed in KEPT.into_iter().chain(FIRST..FIRST + MOST) {
            if began.elapsed() > TIME && !KEPT.contains(&seed) {
                break;
            }
            let report = simulation.run(seed).await.expect("a run");
            assert!(
                report.violations.is_empty(),
                "seed {seed}: {:?}\n{}\nagain: tests/simulation/run.sh --seeds {seed} --trace",
                report.violations,
                report.trace.join("\n"),
            );
        }
        simulation.close().await.expect("the database goes");
    }));
}
