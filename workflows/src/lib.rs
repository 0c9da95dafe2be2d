#![doc = include_str!("../README.md")]

pub mod charge;
pub mod delivery;
pub mod endpoint;
pub mod orchestrator;
pub mod partitions;
pub mod queues;
pub mod reconcile;
pub mod refund;
pub mod setup;
pub mod sweep;
pub mod temporal;
pub mod upkeep;
mod wait;
pub mod worker;

pub use orchestrator::Orchestrator;
pub use queues::Queues;
pub use temporal::{Temporal, TemporalConfig};
