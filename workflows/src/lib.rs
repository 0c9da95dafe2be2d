#![doc = include_str!("../README.md")]

pub mod charge;
pub mod delivery;
pub mod endpoint;
pub mod maintenance;
pub mod orchestrator;
pub mod orphan;
pub mod partitions;
pub mod queues;
pub mod refund;
pub mod setup;
pub mod sweep;
pub mod temporal;
mod wait;
pub mod worker;

pub use orchestrator::Orchestrator;
pub use queues::Queues;
pub use temporal::{Temporal, TemporalConfig};
