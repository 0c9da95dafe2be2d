//! Audit log of manual operations.

use clap::Args;
use schemas::id::MerchantId;
use store::audit;

use super::{print_line, shown};
use crate::{Config, start::open_store};

#[derive(Debug, Args)]
pub(super) struct Query {
    /// Id of the merchant: `mer_…`.
    #[arg(long)]
    merchant: MerchantId,
    /// Only about this id: a key, a connection, a charge, a payer …
    #[arg(long)]
    subject: Option<String>,
    /// Maximum number of entries, newest first.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
}

/// Prints entries: time, author, action, subject, reason, details.
pub(super) async fn list(config: &Config, query: Query) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let mut db = store.pool.acquire().await?;
    let subject = query.subject.as_deref();
    for entry in audit::list(&mut db, query.merchant, subject, query.limit).await? {
        print_line(&format!(
            "{}\t{}\t{}\t{}\t{}\t{}",
            shown(entry.created_at),
            entry.author,
            entry.action,
            entry.subject,
            entry.reason,
            entry.details
        ))?;
    }
    Ok(())
}
