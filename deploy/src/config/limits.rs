use activities::bulkhead::MAX_CALLS_IN_FLIGHT;
use clap::Args;
use workflows::worker::Sizes;

/// Limits of one process.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits of one process")]
pub struct Limits {
    /// Maximum number of callers that wait for an outcome, a limit of memory. Further ones receive 503 at once.
    #[arg(
        long,
        env = "ORCHESTRATOR_MAX_WAITING_CALLERS",
        default_value_t = 5_000
    )]
    pub max_waiting_callers: usize,
    /// Maximum number of calls to gateways in flight. Each gateway API and each merchant has a share of them. A waiting call costs memory and
    /// a socket, but no connection to the database.
    #[arg(
        long,
        env = "ORCHESTRATOR_MAX_CALLS_IN_FLIGHT",
        default_value_t = MAX_CALLS_IN_FLIGHT
    )]
    pub max_calls_in_flight: usize,
    /// Maximum number of deliveries to merchants' servers in flight. A server that does not answer holds each for 15 s.
    #[arg(
        long,
        env = "ORCHESTRATOR_MAX_DELIVERIES_IN_FLIGHT",
        default_value_t = 400
    )]
    pub max_deliveries_in_flight: usize,
    /// Maximum number of refunds, searches for abandoned attempts and scheduled jobs in progress.
    #[arg(
        long,
        env = "ORCHESTRATOR_MAX_MAINTENANCE_IN_FLIGHT",
        default_value_t = 100
    )]
    pub max_maintenance_in_flight: usize,
}

impl Limits {
    pub(crate) fn sizes(&self) -> Sizes {
        Sizes {
            calls: self.max_calls_in_flight,
            deliveries: self.max_deliveries_in_flight,
            maintenance: self.max_maintenance_in_flight,
        }
    }
}
