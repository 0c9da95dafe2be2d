//! Charges that need manual review.

use activities::operations::review::Resolution;
use clap::Subcommand;
use schemas::id::ChargeId;

use super::{operator::By, print_line, working};
use crate::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Resolve a charge in `needs_review`, after checking its gateway.
    Resolve {
        /// Id of the charge: `ch_…`.
        charge: ChargeId,
        /// `paid_elsewhere`: the payer paid in another way; the charge becomes paid and can no longer be paid. `void`: it becomes canceled
        /// and can no longer be paid. `keep`: it stays as it is, paid if money was received, else payable.
        #[arg(long = "as")]
        resolution: Resolution,
        #[command(flatten)]
        by: By,
    },
}

/// Runs a command.
pub(super) async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let Command::Resolve {
        charge,
        resolution,
        by,
    } = command;
    let activities = working(config).await?;
    let wanted = (charge, resolution);
    let status = activities.resolve_charge(wanted, &by.operator()?).await?;
    print_line(&format!("{charge} is {status}"))
}
