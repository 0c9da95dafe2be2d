//! The command line.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use schemas::{
    Instant,
    gateway::Mode,
    id::{ConnectionId, MerchantId},
    merchant::{Permission, Settings},
    message::Topic,
    validate::Checker,
};
use secrecy::ExposeSecret;
use store::{api_keys, merchants};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    Config, Role, config, migrate,
    start::{self, ALL, open_store},
    telemetry,
};

mod connections;
mod events;
mod notifications;

/// Payment Orchestrator. Configured by environment variables: see `orchestrator config`.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the REST API and gateways' notifications.
    Api,
    /// Run workflows and activities.
    Worker,
    /// Move messages from the outbox to Kafka.
    Relay,
    /// All roles in one process, for a laptop.
    Dev,
    /// Create tables, Temporal's namespace and schedule, and Kafka's topics, where they are missing.
    Migrate {
        /// Only verify that nothing is missing.
        #[arg(long)]
        check: bool,
    },
    /// Explain the environment variables.
    Config,
    /// Merchants.
    #[command(subcommand)]
    Merchant(MerchantCommand),
    /// API keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Accounts at gateways.
    #[command(subcommand)]
    Connection(connections::Command),
    /// What gateways told us.
    #[command(subcommand)]
    Notifications(NotificationsCommand),
    /// The streams in Kafka.
    #[command(subcommand)]
    Events(EventsCommand),
}

#[derive(Debug, Subcommand)]
enum MerchantCommand {
    /// Create a merchant; prints its id.
    Create { name: String },
    /// Print a merchant's settings, or replace them.
    Settings {
        merchant: MerchantId,
        /// A JSON file with the settings, or `-` for standard input. What is left out takes its default.
        #[arg(long)]
        set: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Create an API key; prints its secret, which cannot be had again.
    Create {
        #[arg(long)]
        merchant: MerchantId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: Mode,
        /// `read`, `payments` or `configuration`; each includes the ones before it.
        #[arg(long, default_value = "payments")]
        permission: Permission,
        /// The merchant's own name for it.
        #[arg(long, default_value = "")]
        label: String,
    },
}

#[derive(Debug, Subcommand)]
enum NotificationsCommand {
    /// Read stored notifications again, as if their gateways told them anew: harmless for those that were acted on.
    Replay {
        /// Only of this connection.
        #[arg(long)]
        connection: Option<ConnectionId>,
        /// Only those that came since then: `2026-11-25T00:00:00Z`.
        #[arg(long)]
        since: Option<Instant>,
        /// Only those that could not be read when they came.
        #[arg(long)]
        unreadable: bool,
    },
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// Print messages as they arrive, until interrupted.
    Tail {
        /// `gateway.attempts.v1`, `gateway.health.v1` or `charge.events.v1`; all of them unless told.
        #[arg(long)]
        topic: Vec<Topic>,
        /// Begin with the oldest message that Kafka still has.
        #[arg(long)]
        from_beginning: bool,
        /// End after this many messages.
        #[arg(long)]
        count: Option<usize>,
    },
}

/// Runs a command.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    if matches!(cli.command, Command::Config) {
        return say(&config::documentation());
    }
    let config = Config::from_env()?;
    telemetry::log(&config)?;
    match cli.command {
        Command::Api => serve(&config, &[Role::Api]).await,
        Command::Worker => serve(&config, &[Role::Worker]).await,
        Command::Relay => serve(&config, &[Role::Relay]).await,
        Command::Dev => serve(&config, &ALL).await,
        Command::Migrate { check: false } => migrate::migrate(&config).await,
        Command::Migrate { check: true } => migrate::check(&config).await,
        Command::Config => Ok(()),
        Command::Merchant(MerchantCommand::Create { name }) => {
            create_merchant(&config, &name).await
        }
        Command::Merchant(MerchantCommand::Settings { merchant, set }) => {
            settings(&config, merchant, set).await
        }
        Command::Key(KeyCommand::Create {
            merchant,
            mode,
            permission,
            label,
        }) => create_key(&config, merchant, (mode, permission), &label).await,
        Command::Connection(command) => connections::run(&config, command).await,
        Command::Notifications(NotificationsCommand::Replay {
            connection,
            since,
            unreadable,
        }) => notifications::replay(&config, connection, since, unreadable).await,
        Command::Events(EventsCommand::Tail {
            topic,
            from_beginning,
            count,
        }) => events::tail(&config, &topic, from_beginning, count).await,
    }
}

/// Prints an error with its causes.
pub fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "orchestrator: {error:#}");
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", text.trim_end())?)
}

async fn serve(config: &Config, roles: &[Role]) -> anyhow::Result<()> {
    let running = start::start(config, config.timing(), roles).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    tracing::info!("stopping");
    running.stop().await;
    Ok(())
}

async fn create_merchant(config: &Config, name: &str) -> anyhow::Result<()> {
    if name.trim().is_empty() {
        bail!("a merchant needs a name");
    }
    let store = open_store(config).await?;
    let mut db = store.pool.acquire().await?;
    let id = merchants::insert(&mut db, store.master(), name.trim()).await?;
    say(&id.to_string())
}

async fn settings(
    config: &Config,
    merchant: MerchantId,
    set: Option<PathBuf>,
) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let mut db = store.pool.acquire().await?;
    let Some((_, current)) = merchants::find(&mut db, merchant).await? else {
        bail!("there is no merchant {merchant}")
    };
    let Some(path) = set else {
        return say(&serde_json::to_string_pretty(&current)?);
    };
    let json =
        serde_json::from_str(&read(&path, "settings")?).context("the settings are not JSON")?;
    let checked = Checker::<Settings>::new().check(json);
    let settings = checked.map_err(|wrong| {
        let wrong = wrong.iter().map(|e| format!("`{}` {}", e.param, e.message));
        anyhow::anyhow!(
            "the settings are not valid: {}",
            wrong.collect::<Vec<_>>().join("; ")
        )
    })?;
    Ok(merchants::set_settings(&mut db, merchant, &settings.request).await?)
}

/// A file's text, or standard input's.
fn read(path: &Path, what: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin()
            .read_to_string(&mut text)
            .with_context(|| format!("reading {what} from standard input"))?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("reading {what} from {}", path.display()))
}

async fn create_key(
    config: &Config,
    merchant: MerchantId,
    (mode, permission): (Mode, Permission),
    label: &str,
) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let mut db = store.pool.acquire().await?;
    if merchants::find(&mut db, merchant).await?.is_none() {
        bail!("there is no merchant {merchant}");
    }
    let (_, secret) = api_keys::insert(&mut db, merchant, mode, permission, label).await?;
    say(secret.expose_secret())
}
