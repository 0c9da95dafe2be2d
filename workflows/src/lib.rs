#![doc = include_str!("../README.md")]

pub mod orchestrator;

pub use orchestrator::Orchestrator;
