#![doc = include_str!("../README.md")]

pub mod cli;
pub mod config;
pub mod health;
pub mod migrate;
mod serve;
pub mod start;
pub mod telemetry;

pub use config::Config;
pub use start::{Role, Running, start};
