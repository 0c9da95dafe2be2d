#![doc = include_str!("../README.md")]

use std::{fmt::Debug, future::Future, time::Duration};

use tokio::time::Instant;

pub mod api;
pub mod backlog;
pub mod bench;
mod connections;
pub mod dump;
pub mod merchant_server;
pub mod proxy;
pub mod receiver;
#[path = "../simulation/mod.rs"]
pub mod simulation;
pub mod simulator;
pub mod sql_proxy;
pub mod stack;
pub mod statements;

pub use api::Api;
pub use bench::Bench;
pub use merchant_server::MerchantServer;
pub use proxy::Proxy;
pub use receiver::Receiver;
pub use simulator::Simulator;
pub use stack::{Options, Stack, simulated_gateways};

/// Maximum time for an expected change on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// Wait between two checks.
const AGAIN: Duration = Duration::from_millis(50);

/// Calls `ask` until it succeeds. Panics after `PATIENCE` with `what` and the last error.
pub async fn eventually<T, F, W>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, W>>,
    W: Debug,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(why) if Instant::now() >= deadline => {
                panic!("it never came to pass that {what}: {why:?}")
            }
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// Returns a client for tests: without a proxy, as all addresses are on this machine.
pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .expect("a client")
}
