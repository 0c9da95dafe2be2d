//! Command line.

use std::{
    io::{Read, Write},
    path::Path,
    time::Duration,
};

use activities::Activities;
use anyhow::Context;
use chrono::SecondsFormat;
use clap::{Parser, Subcommand};
use schemas::{
    Instant,
    id::{ConnectionId, DeliveryId, EndpointId, EventId},
    message::Topic,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use workflows::WorkflowClient;

use self::operator::By;
use crate::{
    Config, Role, config, migrate,
    start::{self, ALL, Services, activities, open_store},
    telemetry,
};

mod audit;
mod breakers;
mod charges;
mod connections;
mod events;
mod keys;
mod merchants;
mod notifications;
mod operator;
mod payers;

/// Time limit for connecting to Temporal.
const TEMPORAL_WITHIN: Duration = Duration::from_secs(5);

/// Payment Orchestrator. Configured by environment variables, which `orchestrator config` lists.
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
    /// Create tables, Temporal's namespace and schedules, and Kafka's topics, where they are missing.
    Migrate {
        /// Only verify that nothing is missing.
        #[arg(long)]
        check: bool,
    },
    /// List the environment variables with their purposes and defaults.
    Config,
    /// Merchants: create, settings, suspend, reactivate, close.
    #[command(subcommand)]
    Merchant(merchants::Command),
    /// API keys: create, list, roll, revoke.
    #[command(subcommand)]
    Key(keys::Command),
    /// Accounts at gateways.
    #[command(subcommand)]
    Connection(connections::Command),
    /// Circuit breakers: hold, release.
    #[command(subcommand)]
    Breaker(breakers::Command),
    /// Charges that need manual review.
    #[command(subcommand)]
    Charge(charges::Command),
    /// Payers and their personal data.
    #[command(subcommand)]
    Payer(payers::Command),
    /// Deliveries of events to merchants' servers.
    #[command(subcommand)]
    Delivery(DeliveryCommand),
    /// List manual operations: time, author, action, subject, reason, details.
    Audit(audit::Query),
    /// Notifications from gateways.
    #[command(subcommand)]
    Notifications(NotificationsCommand),
    /// Events: resend one to its merchant, watch the streams in Kafka.
    #[command(subcommand)]
    Events(EventsCommand),
}

#[derive(Debug, Subcommand)]
enum NotificationsCommand {
    /// Replay stored notifications. Harmless for those that were already applied.
    Replay {
        /// Only those of this connection.
        #[arg(long)]
        connection: Option<ConnectionId>,
        /// Only those received since this time: `2026-11-25T00:00:00Z`.
        #[arg(long)]
        since: Option<Instant>,
        /// Only those that could not be read when they were received.
        #[arg(long)]
        unreadable: bool,
    },
}

#[derive(Debug, Subcommand)]
enum DeliveryCommand {
    /// Try a delivery now. One that was delivered, failed or discarded is delivered again as a new one, whose id is printed.
    Retry {
        /// Id of the delivery: `de_…`.
        delivery: DeliveryId,
        #[command(flatten)]
        by: By,
    },
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// Deliver an event again: to each endpoint that subscribes to it, or to one. Prints the new deliveries.
    Resend {
        /// Id of the event: `ev_…`.
        event: EventId,
        /// Only to this endpoint, also if it does not subscribe to the event.
        #[arg(long)]
        endpoint: Option<EndpointId>,
        #[command(flatten)]
        by: By,
    },
    /// Print messages as they arrive, until interrupted.
    Tail {
        /// `gateway.attempts.v1`, `gateway.health.v1` or `charge.events.v1`. Defaults to all of them.
        #[arg(long)]
        topic: Vec<Topic>,
        /// Start with the oldest message that Kafka still has.
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
        return print_line(&config::documentation());
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
        Command::Merchant(command) => merchants::run(&config, command).await,
        Command::Key(command) => keys::run(&config, command).await,
        Command::Connection(command) => connections::run(&config, command).await,
        Command::Notifications(NotificationsCommand::Replay {
            connection,
            since,
            unreadable,
        }) => notifications::replay(&config, connection, since, unreadable).await,
        Command::Breaker(command) => breakers::run(&config, command).await,
        Command::Charge(command) => charges::run(&config, command).await,
        Command::Payer(command) => payers::run(&config, command).await,
        Command::Audit(query) => audit::list(&config, query).await,
        Command::Delivery(DeliveryCommand::Retry { delivery, by }) => {
            let by = by.operator()?;
            let tried = working(&config)
                .await?
                .retry_delivery(delivery, &by)
                .await?;
            print_line(&tried.to_string())
        }
        Command::Events(EventsCommand::Resend {
            event,
            endpoint,
            by,
        }) => {
            let by = by.operator()?;
            let wanted = (event, endpoint);
            for delivery in working(&config).await?.resend_event(wanted, &by).await? {
                print_line(&delivery.to_string())?;
            }
            Ok(())
        }
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

fn print_line(text: &str) -> anyhow::Result<()> {
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

/// Returns the text of a file, or of standard input.
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

/// Formats an instant for output.
fn shown(at: Instant) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Returns the activities for commands, connected to Temporal if it answers; without it the sweep does the remaining work.
async fn working(config: &Config) -> anyhow::Result<Activities> {
    let store = open_store(config).await?;
    let tracker = TaskTracker::new();
    let temporal = WorkflowClient::connect(
        config.temporal.connection(),
        config.temporal.queues(),
        &tracker,
        &CancellationToken::new(),
    );
    if tokio::time::timeout(TEMPORAL_WITHIN, temporal.client())
        .await
        .is_err()
    {
        tracing::warn!("Temporal is away: the sweep will do what this leaves");
    }
    let services = Services {
        store: &store,
        temporal: &temporal,
        tracker: &tracker,
    };
    activities(config, config.timing(), &services)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("orchestrator").chain(line.split(' ')))
    }

    #[test]
    fn every_command_and_argument_has_a_help_text() {
        let cli = Cli::command();
        cli.clone().debug_assert();
        let mut left = vec![cli];
        while let Some(command) = left.pop() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            for argument in command.get_arguments() {
                let id = argument.get_id();
                assert!(argument.get_help().is_some(), "{name}: {id}");
            }
            left.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn what_is_changed_by_hand_needs_a_reason() {
        let id = uuid::Uuid::nil();
        let (key, merchant) = (schemas::id::ApiKeyId(id), schemas::id::MerchantId(id));
        let (connection, charge) = (ConnectionId(id), schemas::id::ChargeId(id));
        let (event, delivery) = (EventId(id), DeliveryId(id));
        let payer = schemas::id::PayerId(id);
        for line in [
            format!("key revoke {key}"),
            format!("key roll {key} --overlap-hours 2"),
            format!("merchant suspend {merchant}"),
            format!("merchant reactivate {merchant}"),
            format!("merchant close {merchant}"),
            format!("connection replace-credentials {connection} --credentials -"),
            format!("connection rotate-address {connection}"),
            format!("breaker hold {connection} --state open --minutes 30 --api efi_pix"),
            format!("breaker release {connection}"),
            format!("charge resolve {charge} --as paid_elsewhere"),
            format!("payer erase {payer}"),
            format!("events resend {event}"),
            format!("delivery retry {delivery}"),
        ] {
            let refused = parse(&format!("{line} --author ana"));
            assert!(refused.is_err(), "{line}");
            let taken = parse(&format!("{line} --author ana --reason leaked"));
            assert!(taken.is_ok(), "{line}: {:?}", taken.err());
        }
    }

    #[test]
    fn a_payer_is_found_by_a_charge_or_by_a_merchants_document() {
        let id = uuid::Uuid::nil();
        let (charge, merchant) = (schemas::id::ChargeId(id), schemas::id::MerchantId(id));
        for (line, fits) in [
            ("payer find".to_owned(), false),
            (format!("payer find --charge {charge}"), true),
            ("payer find --document -".to_owned(), false),
            (
                format!("payer find --document - --merchant {merchant}"),
                true,
            ),
        ] {
            assert_eq!(parse(&line).is_ok(), fits, "{line}");
        }
    }
}
