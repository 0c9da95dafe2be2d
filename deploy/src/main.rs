//! The `orchestrator` binary.

use std::process::ExitCode;

use clap::Parser;
use orchestrator::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    match orchestrator::cli::run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            orchestrator::cli::complain(&error);
            ExitCode::FAILURE
        }
    }
}
