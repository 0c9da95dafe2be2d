//! Author and reason of a command, for the audit log.

use activities::operations::Operator;
use clap::Args;

/// Arguments of every command that changes something manually.
#[derive(Debug, Args)]
pub(super) struct By {
    /// Reason, stored permanently in the audit log: no personal data, no secrets.
    #[arg(long)]
    reason: String,
    /// Author, stored permanently in the audit log. Defaults to the name of the user who runs the command.
    #[arg(long, env = "USER")]
    author: String,
}

impl By {
    pub(super) fn operator(&self) -> anyhow::Result<Operator> {
        Ok(Operator::new(&self.author, &self.reason)?)
    }
}
