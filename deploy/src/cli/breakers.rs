//! Circuit breakers, held by hand.

use activities::operations::breakers;
use chrono::TimeDelta;
use clap::{Args, Subcommand, ValueEnum};
use schemas::{breaker::HoldKind, gateway::GatewayApi, id::ConnectionId};

use super::{operator::By, print_line};
use crate::{Config, start::open_store};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Hold a connection's breakers for a while, whatever is measured.
    Hold {
        #[command(flatten)]
        which: Which,
        /// `open`: no new charges go there. `closed`: they go there although it fails.
        #[arg(long)]
        state: State,
        /// For how many minutes, at most 43200 (30 days). After that, what is measured decides again.
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
    connection: ConnectionId,
    /// Only the breaker of this API: `efi_pix`, `efi_cobrancas`, `stripe` or `asaas`. All of the connection's by default.
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
