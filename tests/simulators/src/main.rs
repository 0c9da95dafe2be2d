//! Binary that runs the simulators until it is interrupted.

use std::{
    fs,
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use simulators::Options;
use tokio::signal::unix::{SignalKind, signal};

/// Simulators of the gateways. The README describes their control API.
#[derive(Parser)]
struct Arguments {
    /// Port of the control API. The simulators have the ports after it.
    #[arg(long, default_value_t = 4100)]
    port: u16,
    /// Folder that stores the authority (`ca.pem`) and the client certificate (`client.pem`).
    #[arg(long)]
    certificates: Option<PathBuf>,
    /// Seed of the generated ids.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Print the names of the simulated gateways.
    Gateways,
    /// Print the environment variables that direct the gateways' clients to the simulators.
    Env,
    /// Print credentials that the simulators of a gateway accept for an account. Needs the certificates of a running instance.
    Credentials { gateway: String, account: String },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(command) => print(&arguments, command),
        None => run(arguments).await,
    }
}

fn print(arguments: &Arguments, command: &Command) -> anyhow::Result<()> {
    let text = match command {
        Command::Gateways => {
            let mut names: Vec<_> = simulators::SIMULATORS
                .iter()
                .map(|one| one.gateway)
                .collect();
            names.dedup();
            names.join("\n")
        }
        Command::Env => {
            let line = |(n, one): (u16, &simulators::Descriptor)| {
                let scheme = if one.demands_certificate {
                    "https"
                } else {
                    "http"
                };
                format!(
                    "export ORCHESTRATOR_TEST_{}_URL={scheme}://127.0.0.1:{}",
                    one.api.to_uppercase(),
                    arguments.port + 1 + n
                )
            };
            let lines: Vec<_> = (0..).zip(simulators::SIMULATORS).map(line).collect();
            lines.join("\n")
        }
        Command::Credentials { gateway, account } => {
            let folder = arguments.certificates.as_deref();
            let pem = folder.map(|folder| folder.join("client.pem"));
            let pem = pem.context("--certificates names the folder with client.pem")?;
            let pem = fs::read_to_string(&pem).with_context(|| format!("{}", pem.display()))?;
            simulators::credentials(gateway, account, &pem).to_string()
        }
    };
    Ok(writeln!(stdout(), "{text}")?)
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let options = Options {
        port: arguments.port,
        certificates: arguments.certificates,
        seed: arguments.seed,
    };
    let simulators = simulators::start(options).await?;
    tracing::info!(control = %simulators.control, "listening");
    for (api, at) in &simulators.apis {
        tracing::info!(api, url = %at.url, plain = %at.plain, "listening");
    }
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    simulators.stop().await;
    Ok(())
}
