use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use clap::Args;
use url::Url;

/// Ports and addresses of the roles, and the answers of the API.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "HTTP")]
pub struct Http {
    /// Address that all roles listen on.
    #[arg(long, env = "ORCHESTRATOR_HOST", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,
    /// Port of the API.
    #[arg(long, env = "ORCHESTRATOR_API_PORT", default_value_t = 8080)]
    pub api_port: u16,
    /// Port of the API's metrics, separate from its clients' port.
    #[arg(long, env = "ORCHESTRATOR_METRICS_PORT", default_value_t = 8084)]
    pub metrics_port: u16,
    /// Port of the worker's health and metrics.
    #[arg(long, env = "ORCHESTRATOR_WORKER_PORT", default_value_t = 8081)]
    pub worker_port: u16,
    /// Port of the relay's health and metrics.
    #[arg(long, env = "ORCHESTRATOR_RELAY_PORT", default_value_t = 8082)]
    pub relay_port: u16,
    /// Base URL of the notification addresses. Gateways store it for years, so that it needs a host name of its own.
    #[arg(
        long,
        env = "ORCHESTRATOR_NOTIFICATIONS_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub notifications_url: Url,
    /// Base URL of the documentation of error codes.
    #[arg(
        long,
        env = "ORCHESTRATOR_DOCS_URL",
        default_value = "http://127.0.0.1:8080/docs"
    )]
    pub docs_url: Url,
    /// Maximum time that the caller of `POST /v1/charges` waits for the outcome, in seconds.
    #[arg(long, env = "ORCHESTRATOR_ANSWER_WITHIN_S", default_value_t = 15)]
    pub answer_within_s: u64,
}

impl Http {
    pub(crate) fn answer_within(&self) -> Duration {
        Duration::from_secs(self.answer_within_s)
    }
}
