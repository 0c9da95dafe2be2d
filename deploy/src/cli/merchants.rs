//! Merchants.

use std::path::PathBuf;

use activities::{connection, operations::merchants as operations};
use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use schemas::{id::MerchantId, merchant::MerchantSettings, validate::Checker};
use store::{Store, merchants};

use super::{operator::By, print_line, read};
use crate::{
    Config,
    start::{clients, open_store},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a merchant; prints its id.
    Create {
        /// Name of the merchant.
        name: String,
    },
    /// Print a merchant's settings, or replace them.
    Settings {
        /// Id of the merchant: `mer_…`.
        merchant: MerchantId,
        /// JSON file with the settings, or `-` for standard input. Missing settings take their defaults.
        #[arg(long)]
        set: Option<PathBuf>,
    },
    /// Suspend a merchant: it can create nothing new. Its charges are still paid, canceled and refunded, and its events delivered.
    Suspend {
        /// Id of the merchant: `mer_…`.
        merchant: MerchantId,
        #[command(flatten)]
        by: By,
    },
    /// Let a suspended merchant create again.
    Reactivate {
        /// Id of the merchant: `mer_…`.
        merchant: MerchantId,
        #[command(flatten)]
        by: By,
    },
    /// Close a merchant permanently and revoke all its keys. It must have been suspended for a minute, and have no open charge, refund or
    /// dispute.
    Close {
        /// Id of the merchant: `mer_…`.
        merchant: MerchantId,
        #[command(flatten)]
        by: By,
    },
}

/// Runs a command.
pub(super) async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    if let Command::Create { name } = &command
        && name.trim().is_empty()
    {
        bail!("a merchant needs a name");
    }
    let store = open_store(config).await?;
    match command {
        Command::Create { name } => {
            let mut db = store.pool.acquire().await?;
            let id = merchants::insert(&mut db, store.master(), name.trim()).await?;
            drop(db);
            connection::add_defaults(&store, &clients(config, &store), id)
                .await
                .with_context(|| format!("{id} was created without its default connections"))?;
            print_line(&id.to_string())
        }
        Command::Settings { merchant, set } => settings(&store, merchant, set).await,
        Command::Suspend { merchant, by } => {
            operations::suspend(&store, merchant, &by.operator()?).await?;
            print_line(&format!("{merchant} is suspended"))
        }
        Command::Reactivate { merchant, by } => {
            operations::reactivate(&store, merchant, &by.operator()?).await?;
            print_line(&format!("{merchant} is active"))
        }
        Command::Close { merchant, by } => {
            let revoked = operations::close(&store, merchant, &by.operator()?).await?;
            print_line(&format!(
                "{merchant} is closed; {revoked} keys were revoked"
            ))
        }
    }
}

async fn settings(store: &Store, merchant: MerchantId, set: Option<PathBuf>) -> anyhow::Result<()> {
    let mut db = store.pool.acquire().await?;
    let Some((_, current)) = merchants::find(&mut db, merchant).await? else {
        bail!("the merchant {merchant} does not exist")
    };
    let Some(path) = set else {
        return print_line(&serde_json::to_string_pretty(&current)?);
    };
    let json =
        serde_json::from_str(&read(&path, "settings")?).context("the settings are not JSON")?;
    let checked = Checker::<MerchantSettings>::new()
        .check(json)
        .map_err(|wrong| {
            let wrong = wrong.iter().map(|e| format!("`{}` {}", e.param, e.message));
            anyhow!(
                "the settings are not valid: {}",
                wrong.collect::<Vec<_>>().join("; ")
            )
        })?;
    Ok(merchants::set_settings(&mut db, merchant, &checked.request).await?)
}
