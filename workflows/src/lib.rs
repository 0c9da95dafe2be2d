#![doc = include_str!("../README.md")]

use std::time::Duration;

pub mod charge;
pub mod client;
pub mod delivery;
pub mod endpoint;
pub mod maintenance;
mod options;
pub mod orchestrator;
pub mod orphan;
mod poll_loop;
pub mod queues;
pub mod refund;
pub mod setup;
pub mod worker;

pub use client::{TemporalConfig, WorkflowClient};
pub use orchestrator::Orchestrator;
pub use queues::{Queue, Queues};

#[expect(
    clippy::disallowed_methods,
    reason = "not workflow code: the process waits before it tries again"
)]
pub(crate) async fn pause(length: Duration) {
    tokio::time::sleep(length).await;
}
