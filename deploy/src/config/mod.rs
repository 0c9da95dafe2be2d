//! Configuration: environment variables only, a struct for each concern. A missing or invalid variable stops the start, and the error names
//! it. Secrets are never printed.

use std::error::Error as _;

use activities::{PauseTiming, Timing};
use clap::{
    Command, CommandFactory, FromArgMatches, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};
use schemas::retry::DeliverySchedule;

mod database;
mod delivery;
mod http;
mod kafka;
mod limits;
mod log;
mod schedules;
mod temporal;
mod test_gateways;
#[cfg(test)]
mod tests;

pub use database::Database;
pub use delivery::Delivery;
pub use http::Http;
pub use kafka::Kafka;
pub use limits::Limits;
pub use log::{Log, LogFormat};
pub use schedules::Schedules;
pub use temporal::Temporal;
pub use test_gateways::{TestGateways, variable};

/// All configuration of a process.
#[derive(Clone, Debug, Parser)]
#[command(name = "orchestrator")]
pub struct Config {
    #[command(flatten)]
    pub database: Database,
    #[command(flatten)]
    pub temporal: Temporal,
    #[command(flatten)]
    pub kafka: Kafka,
    #[command(flatten)]
    pub http: Http,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub schedules: Schedules,
    #[command(flatten)]
    pub delivery: Delivery,
    #[command(flatten)]
    pub test_gateways: TestGateways,
    #[command(flatten)]
    pub log: Log,
}

impl Config {
    /// Reads the environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read([])
    }

    /// Reads the environment. An argument, such as `--api-port=80`, replaces a variable.
    fn read<const N: usize>(arguments: [&str; N]) -> Result<Self, ConfigError> {
        let arguments = std::iter::once("orchestrator").chain(arguments);
        let parsed = variables().try_get_matches_from(arguments);
        parsed
            .and_then(|matches| Self::from_arg_matches(&matches))
            .map_err(|error| ConfigError::from(&error))
    }

    /// Returns the times and limits of this deployment.
    pub fn timing(&self) -> Timing {
        let default = Timing::default();
        Timing {
            answer_within: self.http.answer_within(),
            sweep_grace: self.schedules.sweep_grace(),
            poll_every: self.schedules.poll_every(),
            check_every: self.schedules.check_every(),
            delivery: DeliverySchedule {
                delays_s: self.delivery.delays_s.clone(),
                ..default.delivery
            },
            pause: PauseTiming {
                probe_every: self.delivery.probe_every(),
                ..default.pause
            },
            ..default
        }
    }
}

/// Returns the variables, each as an argument whose value has the variable's name.
fn variables() -> Command {
    Config::command().mut_args(|argument| match argument.get_env() {
        Some(name) => {
            let name = name.to_string_lossy().into_owned();
            argument.value_name(name)
        }
        None => argument,
    })
}

/// Error in the environment. Never contains a value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("missing environment variables: {0} (see `orchestrator config`)")]
    Missing(String),
    #[error("the environment variable {name} is invalid: {why} (see `orchestrator config`)")]
    Invalid { name: String, why: String },
}

impl From<&clap::Error> for ConfigError {
    fn from(error: &clap::Error) -> Self {
        let texts = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => vec![text.clone()],
            Some(ContextValue::Strings(texts)) => texts.clone(),
            _ => Vec::new(),
        };
        let names: Vec<_> = texts(ContextKind::InvalidArg)
            .iter()
            .map(|argument| name_in(argument).to_owned())
            .collect();
        let names = names.join(", ");
        if error.kind() == ErrorKind::MissingRequiredArgument {
            return Self::Missing(names);
        }
        let why = match error.source() {
            Some(why) => why.to_string(),
            None => format!(
                "must be one of {}",
                texts(ContextKind::ValidValue).join(", ")
            ),
        };
        Self::Invalid { name: names, why }
    }
}

/// Returns the variable's name in an argument's usage: `--api-port <ORCHESTRATOR_API_PORT>`.
fn name_in(usage: &str) -> &str {
    let (_, name) = usage.split_once('<').unwrap_or(("", usage));
    name.split_once('>').map_or(name, |(name, _)| name)
}

/// Returns the documentation of the variables: their names, purposes and defaults.
pub fn documentation() -> String {
    let (mut text, mut heading) = (String::new(), String::new());
    for argument in variables().get_arguments() {
        let Some(name) = argument.get_env() else {
            continue;
        };
        if let Some(next) = argument.get_help_heading()
            && next != heading
        {
            next.clone_into(&mut heading);
            text.extend(["\n", &heading, "\n\n"]);
        }
        let about = argument.get_long_help().or_else(|| argument.get_help());
        let about = about.map(ToString::to_string).unwrap_or_default();
        let defaults: Vec<_> = argument
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy())
            .collect();
        let default = if argument.is_required_set() {
            " [required]".to_owned()
        } else if defaults.iter().all(|value| value.is_empty()) {
            String::new()
        } else {
            format!(" [default: {}]", defaults.join(","))
        };
        let name = name.to_string_lossy();
        text.extend([
            &*name,
            &default,
            "\n    ",
            &about.replace('\n', "\n    "),
            "\n",
        ]);
    }
    text.trim_start().to_owned()
}
