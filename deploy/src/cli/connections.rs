//! Merchants' accounts at gateways.

use std::path::{Path, PathBuf};

use activities::{
    connection::{self, NewConnection},
    operations::{address, credentials},
};
use anyhow::bail;
use clap::{Args, Subcommand};
use schemas::{
    connection::ConnectionStatus,
    gateway::{GatewayKind, Mode},
    id::{ConnectionId, MerchantId},
};

use super::{operator::By, print_line, read};
use crate::{
    Config,
    start::{clients, open_store},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add an account at a gateway: checks the credentials, appends it to the routes, registers our notification address.
    Add(AddConnection),
    /// List a merchant's connections: id, gateway, status, label.
    List {
        /// Id of the merchant: `mer_…`.
        #[arg(long)]
        merchant: MerchantId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: Mode,
    },
    /// Send it no new charges; its existing ones continue.
    Drain {
        /// Id of the connection: `gc_…`.
        connection: ConnectionId,
    },
    /// Send it charges again.
    Activate {
        /// Id of the connection: `gc_…`.
        connection: ConnectionId,
    },
    /// Replace its credentials by others of the same account, for its open charges too: before a certificate expires, after a key leaked.
    /// The gateway is called first; nothing is stored if it refuses them, or if they open another account.
    ReplaceCredentials {
        /// Id of the connection: `gc_…`.
        connection: ConnectionId,
        /// JSON file with the credentials, or `-` for standard input. They are never arguments, which other users can read.
        #[arg(long)]
        credentials: PathBuf,
        #[command(flatten)]
        by: By,
    },
    /// Give its notification address a new secret, and register it at the gateway. The former address works until the gateway has the new
    /// one, and 14 days after. Existing boletos and card links of Efí Cobranças use the former address; their later reports are found in
    /// Efí's lists.
    RotateAddress {
        /// Id of the connection: `gc_…`.
        connection: ConnectionId,
        #[command(flatten)]
        by: By,
    },
    /// Archive it, once none of its charges may still be paid: removes our notification address at the gateway, and restores the one that
    /// it had replaced.
    Archive {
        /// Id of the connection: `gc_…`.
        connection: ConnectionId,
    },
}

#[derive(Debug, Args)]
pub(super) struct AddConnection {
    /// Id of the merchant: `mer_…`.
    #[arg(long)]
    merchant: MerchantId,
    /// `test` or `live`.
    #[arg(long, default_value = "test")]
    mode: Mode,
    /// Name of the gateway, such as `efi`.
    #[arg(long)]
    gateway: GatewayKind,
    /// The merchant's own name for it.
    #[arg(long)]
    label: Option<String>,
    /// JSON file with the credentials, or `-` for standard input. They are never arguments, which other users can read.
    #[arg(long)]
    credentials: PathBuf,
    /// Replace another party's notification address that is registered at the gateway (Efí has one for each Pix key).
    #[arg(long)]
    replace_address: bool,
}

/// Runs a command.
pub(super) async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Add(new) => add(config, new).await,
        Command::List { merchant, mode } => {
            let store = open_store(config).await?;
            let mut db = store.pool.acquire().await?;
            for it in store::connections::list(&mut db, merchant, mode).await? {
                print_line(&format!(
                    "{}\t{}\t{}\t{}",
                    it.id, it.gateway, it.status, it.label
                ))?;
            }
            Ok(())
        }
        Command::Drain { connection } => {
            use_for(config, connection, ConnectionStatus::Draining).await
        }
        Command::Activate { connection } => {
            use_for(config, connection, ConnectionStatus::Active).await
        }
        Command::ReplaceCredentials {
            connection,
            credentials,
            by,
        } => {
            let given = read_credentials(&credentials)?;
            let store = open_store(config).await?;
            let clients = clients(config, &store);
            let wanted = (connection, &given);
            let version = credentials::replace(&store, &clients, wanted, &by.operator()?).await?;
            print_line(&format!(
                "{connection} has version {version} of its credentials"
            ))
        }
        Command::RotateAddress { connection, by } => rotate(config, connection, &by).await,
        Command::Archive { connection: id } => {
            let store = open_store(config).await?;
            let archived = connection::archive(&store, &clients(config, &store), id).await?;
            if let Err(why) = archived.deregistered {
                bail!(
                    "{id} is archived, and our address may still be registered at its gateway ({why}): archive it again to try again"
                );
            }
            print_line(&format!("{id} is archived"))
        }
    }
}

async fn rotate(config: &Config, id: ConnectionId, by: &By) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let clients = clients(config, &store);
    let rotated = address::rotate(&store, &clients, id, &by.operator()?).await?;
    if let Err(why) = rotated.registered {
        bail!(
            "{id} has a new notification address, which its gateway does not have yet ({why}): it is registered again by itself, and the former one works meanwhile"
        );
    }
    print_line(&format!("{id} has a new notification address"))
}

/// Reads credentials from a file; an error repeats none of them.
fn read_credentials(path: &Path) -> anyhow::Result<serde_json::Value> {
    serde_json::from_str(&read(path, "credentials")?).map_err(|error| {
        anyhow::anyhow!(
            "the credentials are not JSON (line {}, column {})",
            error.line(),
            error.column()
        )
    })
}

async fn use_for(
    config: &Config,
    id: ConnectionId,
    status: ConnectionStatus,
) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let mut db = store.pool.acquire().await?;
    match store::connections::find(&mut db, id).await? {
        None => bail!("there is no connection {id}"),
        Some(it) if it.status == ConnectionStatus::Archived => bail!(
            "{id} is archived, and its gateway no longer sends us anything: add the account as a new connection"
        ),
        Some(_) => store::connections::set_status(&mut db, id, status).await?,
    }
    print_line(&format!("{id} is {status}"))
}

async fn add(config: &Config, add: AddConnection) -> anyhow::Result<()> {
    let credentials = read_credentials(&add.credentials)?;
    let store = open_store(config).await?;
    let new = NewConnection {
        merchant: add.merchant,
        mode: add.mode,
        gateway: add.gateway,
        label: add.label.unwrap_or_else(|| add.gateway.to_string()),
        credentials,
        replace_address: add.replace_address,
    };
    let added = connection::add(&store, &clients(config, &store), &new).await?;
    print_line(&added.id.to_string())?;
    if let Err(why) = added.notified {
        bail!(
            "the connection {} takes charges, and its notifications will not arrive: {why}",
            added.id
        );
    }
    Ok(())
}
