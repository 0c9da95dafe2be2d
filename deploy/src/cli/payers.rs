//! Payers and their personal data.

use std::path::PathBuf;

use activities::operations::payers;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use schemas::{
    document::Document,
    gateway::Mode,
    id::{ChargeId, MerchantId, PayerId},
};
use store::payers::erase;

use super::{operator::By, print_line, read};
use crate::{Config, start::open_store};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the id of a charge's payer, or of the payer with a document.
    Find(Find),
    /// Erase a payer permanently: name, document, e-mail, phone and address, in charges, attempts and gateways' notifications. Refused,
    /// naming the charges, while any of the payer's charges, refunds or disputes is unresolved. Charges, payments and events stay, without
    /// the payer. A charge's `description`, `reference` and `metadata` are the merchant's own and stay unchanged, and so does the gateways'
    /// data.
    Erase {
        /// Id of the payer: `pa_…`.
        payer: PayerId,
        #[command(flatten)]
        by: By,
    },
}

#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Find {
    /// Id of the charge: `ch_…`.
    #[arg(
        long,
        conflicts_with = "document",
        required_unless_present = "document"
    )]
    charge: Option<ChargeId>,
    /// File with the CPF or CNPJ, or `-` for standard input. It is never an argument, which other users can read.
    #[arg(long, requires = "merchant")]
    document: Option<PathBuf>,
    /// Merchant of the payer; required with `--document`.
    #[arg(long)]
    merchant: Option<MerchantId>,
    /// `test` or `live`.
    #[arg(long, default_value = "test")]
    mode: Mode,
}

/// Runs a command.
pub(super) async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Find(wanted) => find(config, wanted).await,
        Command::Erase { payer, by } => {
            let store = open_store(config).await?;
            payers::erase(&store, payer, &by.operator()?).await?;
            print_line(&format!("{payer} is erased"))
        }
    }
}

async fn find(config: &Config, wanted: Find) -> anyhow::Result<()> {
    let document: Option<Document> = match &wanted.document {
        Some(path) => {
            let text = read(path, "document")?;
            let read = text.trim().parse();
            Some(read.map_err(|_| anyhow::anyhow!("the document is not a valid CPF or CNPJ"))?)
        }
        None => None,
    };
    let store = open_store(config).await?;
    let mut db = store.pool.acquire().await?;
    let found = match (wanted.charge, document) {
        (Some(charge), _) => erase::of_charge(&mut db, charge).await?,
        (None, Some(document)) => {
            let merchant = wanted.merchant.context("--merchant is required")?;
            let owner = (merchant, wanted.mode);
            erase::find_by_document(&mut db, &store, owner, &document).await?
        }
        (None, None) => None,
    };
    match found {
        Some(payer) => print_line(&payer.to_string()),
        None => bail!("the payer does not exist"),
    }
}
