//! Who runs a command that the audit log keeps.

use activities::operations::Operator;
use clap::Args;

/// Asked of every command that changes something by hand.
#[derive(Debug, Args)]
pub(super) struct By {
    /// Why. The audit log keeps it for good: no personal data, no secrets.
    #[arg(long)]
    reason: String,
    /// Who. The audit log keeps it for good. Defaults to the name of the user who runs the command.
    #[arg(long, env = "USER")]
    author: String,
}

impl By {
    pub(super) fn operator(&self) -> anyhow::Result<Operator> {
        Ok(Operator::new(&self.author, &self.reason)?)
    }
}
