//! API keys.

use activities::operations::keys;
use anyhow::bail;
use chrono::TimeDelta;
use clap::Subcommand;
use schemas::{
    gateway::Mode,
    id::{ApiKeyId, MerchantId},
    merchant::{MerchantStatus, Permission},
};
use secrecy::ExposeSecret;
use store::{api_keys, merchants};

use super::{operator::By, print_line, shown};
use crate::{Config, start::open_store};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create an API key; prints its secret, which cannot be shown again.
    Create {
        /// Id of the merchant: `mer_…`.
        #[arg(long)]
        merchant: MerchantId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: Mode,
        /// `read`, `payments` or `configuration`; each includes the previous ones.
        #[arg(long, default_value = "payments")]
        permission: Permission,
        /// The merchant's own name for it.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// List a merchant's keys: id, permission, end of the secret, created, last used (to the hour), state, label.
    List {
        /// Id of the merchant: `mer_…`.
        #[arg(long)]
        merchant: MerchantId,
        /// `test` or `live`.
        #[arg(long, default_value = "test")]
        mode: Mode,
    },
    /// Revoke a key at once: the next request with it is refused. To replace one that is in use, roll it.
    Revoke {
        /// Id of the key: `key_…`.
        key: ApiKeyId,
        #[command(flatten)]
        by: By,
    },
    /// Replace a key by a new one with the same permission and label; prints the new secret, which cannot be shown again. The former
    /// key works until the overlap is over.
    Roll {
        /// Id of the key: `key_…`.
        key: ApiKeyId,
        /// Number of hours that the former key still works: 0 to 720.
        #[arg(long, default_value_t = 24)]
        overlap_hours: u16,
        #[command(flatten)]
        by: By,
    },
}

/// Runs a command.
pub(super) async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    match command {
        Command::Create {
            merchant,
            mode,
            permission,
            label,
        } => {
            let mut db = store.pool.acquire().await?;
            match merchants::find(&mut db, merchant).await? {
                None => bail!("the merchant {merchant} does not exist"),
                Some((MerchantStatus::Closed, _)) => {
                    bail!("{merchant} is closed and can have no keys")
                }
                Some(_) => {}
            }
            let (_, secret) = api_keys::insert(&mut db, merchant, mode, permission, &label).await?;
            print_line(secret.expose_secret())
        }
        Command::List { merchant, mode } => {
            let mut db = store.pool.acquire().await?;
            if merchants::find(&mut db, merchant).await?.is_none() {
                bail!("the merchant {merchant} does not exist");
            }
            for key in api_keys::list(&mut db, merchant, mode).await? {
                let state = match (key.revoked_at, key.expires_at) {
                    (Some(at), _) => format!("revoked {}", shown(at)),
                    (None, Some(at)) => format!("ends {}", shown(at)),
                    (None, None) => "in use".to_owned(),
                };
                let used = key.last_used_at.map_or_else(|| "never".to_owned(), shown);
                print_line(&format!(
                    "{}\t{}\t…{}\t{}\t{used}\t{state}\t{}",
                    key.id,
                    key.permission,
                    key.hint,
                    shown(key.created_at),
                    key.label
                ))?;
            }
            Ok(())
        }
        Command::Revoke { key, by } => {
            keys::revoke(&store, key, &by.operator()?).await?;
            print_line(&format!("{key} is revoked"))
        }
        Command::Roll {
            key,
            overlap_hours,
            by,
        } => {
            let overlap = TimeDelta::hours(i64::from(overlap_hours));
            let rolled = keys::roll(&store, key, overlap, &by.operator()?).await?;
            print_line(rolled.secret.expose_secret())
        }
    }
}
