//! Configuration: environment variables only, all of them here. Each field is the variable of its name in upper case after `ORCHESTRATOR_`.
//! A missing or invalid variable stops the start, and the error names it.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use activities::{PauseTiming, Timing, relay::KafkaConfig};
use gateways::Endpoints;
use schemas::{gateway::GatewayApi, retry::DeliverySchedule};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use store::vault::{DataKey, VaultError};
use strum::IntoEnumIterator;
use url::Url;
use workflows::{Queues, TemporalConfig, setup::Intervals, worker::Sizes};

/// Prefix of every variable's name.
const PREFIX: &str = "ORCHESTRATOR_";

/// All configuration of a process.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// PostgreSQL, 18 or later: `postgres://user:password@host:port/database`. Required.
    pub database_url: SecretString,
    /// Maximum number of connections to PostgreSQL of one process. None is held during a call to a gateway or a merchant's server, so that
    /// a few are enough: two thirds of them are for requests that create or change something. Default 24.
    #[serde(default = "default_database_connections")]
    pub database_connections: u32,
    /// Key that wraps all others: 32 bytes in base64 (`openssl rand -base64 32`). Required. Without it all sealed data is lost.
    pub master_key: SecretString,

    /// Temporal's frontend. Default `http://127.0.0.1:7233`.
    #[serde(default = "default_temporal_url")]
    pub temporal_url: Url,
    /// Temporal's namespace. Default `default`.
    #[serde(default = "default_temporal_namespace")]
    pub temporal_namespace: String,
    /// API key for Temporal Cloud; enables TLS. None by default.
    pub temporal_api_key: Option<SecretString>,
    /// Prefix of every task queue's name, so that several deployments can share a namespace. Empty by default.
    #[serde(default)]
    pub task_queue_prefix: String,

    /// Addresses of Kafka as `host:port`, several separated by commas. Default `127.0.0.1:9092`.
    #[serde(default = "default_kafka_brokers")]
    pub kafka_brokers: String,
    /// Prefix of every topic's name. Empty by default.
    #[serde(default)]
    pub kafka_topic_prefix: String,
    /// Partitions of a topic that `migrate` creates. Default 3.
    #[serde(default = "default_kafka_partitions")]
    pub kafka_partitions: i32,
    /// Replicas of a topic that `migrate` creates. Default 1; set 3 in production.
    #[serde(default = "default_kafka_replication")]
    pub kafka_replication: i32,

    /// Address that all roles listen on. Default `127.0.0.1`.
    #[serde(default = "default_host")]
    pub host: IpAddr,
    /// Port of the API. Default 8080.
    #[serde(default = "default_api_port")]
    pub api_port: u16,
    /// Port of the API's metrics, separate from its clients' port. Default 8084.
    #[serde(default = "default_metrics_port")]
    pub metrics_port: u16,
    /// Port of the worker's health and metrics. Default 8081.
    #[serde(default = "default_worker_port")]
    pub worker_port: u16,
    /// Port of the relay's health and metrics. Default 8082.
    #[serde(default = "default_relay_port")]
    pub relay_port: u16,
    /// Base URL of the notification addresses. Gateways store it for years, so that it needs a host name of its own. Default
    /// `http://127.0.0.1:8080`.
    #[serde(default = "default_notifications_url")]
    pub notifications_url: Url,
    /// Base URL of the documentation of error codes. Default `http://127.0.0.1:8080/docs`.
    #[serde(default = "default_docs_url")]
    pub docs_url: Url,

    /// Maximum time that the caller of `POST /v1/charges` waits for the outcome, in seconds. Default 15.
    #[serde(default = "default_answer_within_s")]
    pub answer_within_s: u64,
    /// Maximum number of callers that wait for an outcome in one process, a limit of its memory; further ones receive 503 at once. Default
    /// 5000.
    #[serde(default = "default_max_waiting_callers")]
    pub max_waiting_callers: usize,
    /// Maximum number of calls to gateways in flight in one process. Each gateway API and each merchant has a share of them. A waiting call
    /// costs memory and a socket, but no connection to the database. Default 4000.
    #[serde(default = "default_max_calls_in_flight")]
    pub max_calls_in_flight: usize,
    /// Maximum number of deliveries to merchants' servers in flight in one process. A server that hangs holds each for 15 s. Default 400.
    #[serde(default = "default_max_deliveries_in_flight")]
    pub max_deliveries_in_flight: usize,
    /// Maximum number of refunds, searches for abandoned attempts and scheduled jobs in progress in one process. Default 100.
    #[serde(default = "default_max_maintenance_in_flight")]
    pub max_maintenance_in_flight: usize,
    /// True if webhook endpoints may use private addresses and plain HTTP. Only for local stacks. Default false.
    #[serde(default)]
    pub allow_private_webhooks: bool,
    /// Interval of the sweep for overdue rows, in seconds. Default 60.
    #[serde(default = "default_sweep_every_s")]
    pub sweep_every_s: u64,
    /// Interval at which a connection's lists at its gateway are read, in seconds; catches missed notifications. Default 300.
    #[serde(default = "default_poll_every_s")]
    pub poll_every_s: u64,
    /// Interval at which a connection's registration and settings at its gateway are checked, in seconds. Default 3600.
    #[serde(default = "default_check_every_s")]
    pub check_every_s: u64,
    /// Time that a row must be overdue before the sweep processes it, in seconds. Default 60.
    #[serde(default = "default_sweep_every_s")]
    pub sweep_grace_s: u64,
    /// Pauses before a delivery's first tries, in seconds, separated by commas. Default `0,5,30,120,600,1800,3600,7200,14400,28800`.
    pub delivery_delays_s: Option<Vec<i64>>,
    /// Interval of the probes of a paused webhook endpoint, in seconds. Default 600.
    pub endpoint_probe_every_s: Option<u64>,

    /// Additional certificate authority (PEM file) to trust for Efí in test mode, such as a simulator's. None by default.
    pub test_efi_ca_file: Option<PathBuf>,
    /// URLs of gateway APIs in test mode, each from `ORCHESTRATOR_TEST_<API>_URL` (`EFI_PIX`, `STRIPE`…). Default: the gateway's sandbox.
    #[serde(skip)]
    pub test_urls: BTreeMap<GatewayApi, Url>,

    /// Log filter, in the syntax of `tracing`. Default `info`.
    #[serde(default = "default_log")]
    pub log: String,
    /// Format of log lines: `json` or `pretty`. Default `pretty`.
    #[serde(default)]
    pub log_format: LogFormat,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Json,
    #[default]
    Pretty,
}

impl Config {
    /// Reads the environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        let mut config: Self = envy::prefixed(PREFIX)
            .from_env()
            .map_err(|error| match error {
                envy::Error::MissingValue(field) => {
                    ConfigError::Missing(format!("{PREFIX}{}", field.to_uppercase()))
                }
                envy::Error::Custom(what) => ConfigError::Invalid(what),
            })?;
        let prefix = format!("{PREFIX}TEST_");
        let texts: BTreeMap<String, String> = envy::prefixed(&prefix)
            .from_env()
            .map_err(|why| ConfigError::Invalid(why.to_string()))?;
        for api in GatewayApi::iter() {
            if let Some(text) = texts.get(&format!("{api}_url")) {
                let name = format!("{prefix}{}_URL", api.as_ref().to_uppercase());
                let url = Url::parse(text)
                    .map_err(|why| ConfigError::Invalid(format!("{name}: {why}")))?;
                config.test_urls.insert(api, url);
            }
        }
        Ok(config)
    }

    /// Returns the master key.
    pub fn master(&self) -> Result<DataKey, VaultError> {
        DataKey::master(self.master_key.expose_secret())
    }

    pub(crate) fn temporal(&self) -> TemporalConfig {
        TemporalConfig {
            url: self.temporal_url.clone(),
            namespace: self.temporal_namespace.clone(),
            api_key: self.temporal_api_key.clone(),
        }
    }

    pub(crate) fn queues(&self) -> Queues {
        Queues::new(&self.task_queue_prefix)
    }

    pub(crate) fn kafka(&self) -> KafkaConfig {
        KafkaConfig {
            brokers: self.kafka_brokers.clone(),
            topic_prefix: self.kafka_topic_prefix.clone(),
            partitions: self.kafka_partitions,
            replication: self.kafka_replication,
        }
    }

    pub(crate) fn test_endpoints(&self) -> Endpoints {
        let mut endpoints = Endpoints::sandbox();
        endpoints.urls.extend(self.test_urls.clone());
        endpoints.ca_file.clone_from(&self.test_efi_ca_file);
        endpoints
    }

    pub(crate) fn answer_within(&self) -> Duration {
        Duration::from_secs(self.answer_within_s)
    }

    /// Returns the number of requests that may use the database concurrently: the rest of the connections is for workers, notifications and
    /// reads.
    pub(crate) fn requests_at_work(&self) -> usize {
        let connections = usize::try_from(self.database_connections).unwrap_or(usize::MAX);
        (connections - connections / 3).max(1)
    }

    pub(crate) fn sizes(&self) -> Sizes {
        Sizes {
            calls: self.max_calls_in_flight,
            deliveries: self.max_deliveries_in_flight,
            maintenance: self.max_maintenance_in_flight,
        }
    }

    pub(crate) fn intervals(&self) -> Intervals {
        // the schedule fires more often than the interval, so that a row that becomes due a moment later does not wait for a whole interval
        let often = |every_s: u64| Duration::from_secs((every_s / 5).max(1));
        Intervals {
            sweep: Duration::from_secs(self.sweep_every_s),
            poll: often(self.poll_every_s),
            check: often(self.check_every_s),
        }
    }

    /// Returns the times and limits of this deployment.
    pub fn timing(&self) -> Timing {
        let default = Timing::default();
        let delays_s = self
            .delivery_delays_s
            .clone()
            .unwrap_or_else(|| default.delivery.delays_s.clone());
        let probe_every = self
            .endpoint_probe_every_s
            .map_or(default.pause.probe_every, Duration::from_secs);
        Timing {
            answer_within: self.answer_within(),
            sweep_grace: Duration::from_secs(self.sweep_grace_s),
            poll_every: Duration::from_secs(self.poll_every_s),
            check_every: Duration::from_secs(self.check_every_s),
            delivery: DeliverySchedule {
                delays_s,
                ..default.delivery
            },
            pause: PauseTiming {
                probe_every,
                ..default.pause
            },
            ..default
        }
    }
}

/// Error in the environment.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the environment variable {0} is required (see `orchestrator config`)")]
    Missing(String),
    #[error("an environment variable is not valid: {0} (see `orchestrator config`)")]
    Invalid(String),
}

/// Returns the documentation of the variables, read from this file.
pub fn documentation() -> String {
    let mut text = String::new();
    let mut about = Vec::new();
    let fields = include_str!("config.rs")
        .lines()
        .skip_while(|line| !line.starts_with("pub struct Config"))
        .skip(1);
    for line in fields.take_while(|line| *line != "}") {
        let line = line.trim();
        if let Some(words) = line.strip_prefix("/// ") {
            about.push(words);
        } else if let Some((name, _)) = line
            .strip_prefix("pub ")
            .and_then(|line| line.split_once(':'))
        {
            text.extend([
                PREFIX,
                &name.to_uppercase(),
                "\n    ",
                &about.join("\n    "),
                "\n",
            ]);
            about.clear();
        }
    }
    text
}

fn default_database_connections() -> u32 {
    24
}
fn default_temporal_url() -> Url {
    local(7233)
}
fn default_temporal_namespace() -> String {
    "default".to_owned()
}
fn default_kafka_brokers() -> String {
    "127.0.0.1:9092".to_owned()
}
fn default_kafka_partitions() -> i32 {
    3
}
fn default_kafka_replication() -> i32 {
    1
}
fn default_host() -> IpAddr {
    IpAddr::from([127, 0, 0, 1])
}
fn default_api_port() -> u16 {
    8080
}
fn default_metrics_port() -> u16 {
    8084
}
fn default_worker_port() -> u16 {
    8081
}
fn default_relay_port() -> u16 {
    8082
}
fn default_notifications_url() -> Url {
    local(8080)
}
fn default_docs_url() -> Url {
    let mut url = local(8080);
    url.set_path("docs");
    url
}
fn default_answer_within_s() -> u64 {
    15
}
fn default_max_waiting_callers() -> usize {
    5_000
}
fn default_max_calls_in_flight() -> usize {
    activities::bulkhead::MAX_CALLS_IN_FLIGHT
}
fn default_max_deliveries_in_flight() -> usize {
    400
}
fn default_max_maintenance_in_flight() -> usize {
    100
}
fn default_sweep_every_s() -> u64 {
    60
}
fn default_poll_every_s() -> u64 {
    300
}
fn default_check_every_s() -> u64 {
    3_600
}
fn default_log() -> String {
    "info".to_owned()
}
fn local(port: u16) -> Url {
    format!("http://127.0.0.1:{port}")
        .parse()
        .expect("a literal URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, envy::Error> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (format!("{PREFIX}{name}"), (*value).to_owned()));
        envy::prefixed(PREFIX).from_iter(pairs)
    }

    #[test]
    fn two_variables_are_enough_and_every_one_is_documented() {
        let config =
            read(&[("DATABASE_URL", "postgres://x"), ("MASTER_KEY", "k")]).expect("enough");
        assert_eq!(config.api_port, 8080);
        let documented = documentation();
        for name in [
            "DATABASE_URL",
            "MASTER_KEY",
            "DELIVERY_DELAYS_S",
            "LOG_FORMAT",
        ] {
            assert!(
                documented.contains(&format!("ORCHESTRATOR_{name}\n    ")),
                "{name}"
            );
        }
        assert!(
            !documented.contains("\n    \n"),
            "a variable is not documented"
        );
    }

    #[test]
    fn a_missing_or_wrong_variable_is_named() {
        let missing = read(&[("DATABASE_URL", "postgres://x")]).expect_err("no key");
        assert!(missing.to_string().contains("master_key"));
        let wrong = read(&[
            ("DATABASE_URL", "x"),
            ("MASTER_KEY", "k"),
            ("API_PORT", "eighty"),
        ])
        .expect_err("no port");
        assert!(wrong.to_string().contains("API_PORT"), "{wrong}");
    }
}
