use std::time::Duration;

use activities::Timing;
use clap::{ArgAction, Args};

/// Deliveries of events to merchants' servers.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Deliveries")]
pub struct Delivery {
    /// Pauses before a delivery's first tries, in seconds, separated by commas.
    #[arg(
        id = "delivery-delays-s",
        long = "delivery-delays-s",
        env = "ORCHESTRATOR_DELIVERY_DELAYS_S",
        value_delimiter = ',',
        default_values_t = Timing::default().delivery.delays_s
    )]
    pub delays_s: Vec<i64>,
    /// Interval of the probes of a paused webhook endpoint, in seconds.
    #[arg(
        long,
        env = "ORCHESTRATOR_ENDPOINT_PROBE_EVERY_S",
        default_value_t = Timing::default().pause.probe_every.as_secs()
    )]
    pub endpoint_probe_every_s: u64,
    /// True if webhook endpoints may use private addresses and plain HTTP. Only for local stacks.
    #[arg(
        long,
        env = "ORCHESTRATOR_ALLOW_PRIVATE_WEBHOOKS",
        action = ArgAction::Set,
        default_value_t = false
    )]
    pub allow_private_webhooks: bool,
}

impl Delivery {
    pub(crate) fn probe_every(&self) -> Duration {
        Duration::from_secs(self.endpoint_probe_every_s)
    }
}
