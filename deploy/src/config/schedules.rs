use std::time::Duration;

use clap::Args;
use workflows::setup::Intervals;

/// Scheduled jobs.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Scheduled jobs")]
pub struct Schedules {
    /// Interval of the sweep for overdue rows, in seconds.
    #[arg(long, env = "ORCHESTRATOR_SWEEP_EVERY_S", default_value_t = 60)]
    pub sweep_every_s: u64,
    /// Time that a row must be overdue before the sweep processes it, in seconds.
    #[arg(long, env = "ORCHESTRATOR_SWEEP_GRACE_S", default_value_t = 60)]
    pub sweep_grace_s: u64,
    /// Interval at which a connection's lists at its gateway are read, in seconds; catches missed notifications.
    #[arg(long, env = "ORCHESTRATOR_POLL_EVERY_S", default_value_t = 300)]
    pub poll_every_s: u64,
    /// Interval at which a connection's registration and settings at its gateway are checked, in seconds.
    #[arg(long, env = "ORCHESTRATOR_CHECK_EVERY_S", default_value_t = 3_600)]
    pub check_every_s: u64,
}

impl Schedules {
    pub(crate) fn intervals(&self) -> Intervals {
        // a schedule fires more often than the interval, so that a row that becomes due a moment later does not wait for a whole interval
        let often = |every: Duration| (every / 5).max(Duration::from_secs(1));
        Intervals {
            sweep: Duration::from_secs(self.sweep_every_s),
            poll: often(self.poll_every()),
            check: often(self.check_every()),
        }
    }

    pub(crate) fn sweep_grace(&self) -> Duration {
        Duration::from_secs(self.sweep_grace_s)
    }

    pub(crate) fn poll_every(&self) -> Duration {
        Duration::from_secs(self.poll_every_s)
    }

    pub(crate) fn check_every(&self) -> Duration {
        Duration::from_secs(self.check_every_s)
    }
}
