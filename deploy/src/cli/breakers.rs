//! Circuit breakers, held manually.

use activities::operations::breakers;
use chrono::TimeDelta;
use clap::{Args, Subcommand, ValueEnum};
use schemas::{breaker::HoldKind, gateway::GatewayApi, id::ConnectionId};

use super::{operator::By, print_line};
use crate::{Config, start::open_store};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Hold a connection's breakers for a limited time, independent of measured health.
    Hold {
        #[command(flatten)]
        which: Which,
        /// `open`: the connection receives no new charges. `closed`: it receives them although it fails.
        #[arg(long)]
        state: State,
        /// Duration in minutes, at most 43200 (30 days). Measured health decides again afterwards.
        #[arg(long)]
        minutes: u32,
        #[command(flatten)]
        by: By,
    },
    /// Release a connection's breakers before their time is over.
    Release {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        by: By,
    },
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// Id of the connection: `gc_…`.
    connection: ConnectionId,
    /// Only the breaker of this API: `efi_pix`, `efi_cobrancas`, `stripe` or `asaas`. Defaults to all APIs of the connection.
    #[arg(long)]
    api: Option<GatewayApi>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum State {
    Open,
    Closed,
}

/// Runs a command.
pub(super) async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let (done, which) = match command {
        Command::Hold {
            which,
            state,
            minutes,
            by,
        } => {
            let kind = match state {
                State::Open => HoldKind::ForceOpen,
                State::Closed => HoldKind::ForceClosed,
            };
            let hold = (kind, TimeDelta::minutes(i64::from(minutes)));
            let which = (which.connection, which.api);
            let held = breakers::hold(&store, which, hold, &by.operator()?).await?;
            (format!("held ({kind})"), held)
        }
        Command::Release { which, by } => {
            let which = (which.connection, which.api);
            let released = breakers::release(&store, which, &by.operator()?).await?;
            ("released".to_owned(), released)
        }
    };
    for api in which {
        print_line(&format!("{api} is {done}"))?;
    }
    Ok(())
}
