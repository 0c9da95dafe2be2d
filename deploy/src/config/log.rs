use clap::{Args, ValueEnum};

/// Logs.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logs")]
pub struct Log {
    /// Log filter, in the syntax of `tracing`.
    #[arg(
        id = "log",
        long = "log",
        env = "ORCHESTRATOR_LOG",
        default_value = "info"
    )]
    pub filter: String,
    /// Format of log lines: `json` or `pretty`.
    #[arg(
        id = "log-format",
        long = "log-format",
        env = "ORCHESTRATOR_LOG_FORMAT",
        value_enum,
        default_value_t
    )]
    pub format: LogFormat,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Json,
    #[default]
    Pretty,
}
