use clap::Args;
use secrecy::SecretString;
use url::Url;
use workflows::{Queues, TemporalConfig};

/// Temporal.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Temporal")]
pub struct Temporal {
    /// Temporal's frontend.
    #[arg(
        id = "temporal-url",
        long = "temporal-url",
        env = "ORCHESTRATOR_TEMPORAL_URL",
        default_value = "http://127.0.0.1:7233"
    )]
    pub url: Url,
    /// Temporal's namespace.
    #[arg(
        id = "temporal-namespace",
        long = "temporal-namespace",
        env = "ORCHESTRATOR_TEMPORAL_NAMESPACE",
        default_value = "default"
    )]
    pub namespace: String,
    /// API key for Temporal Cloud; enables TLS. None by default.
    #[arg(
        id = "temporal-api-key",
        long = "temporal-api-key",
        env = "ORCHESTRATOR_TEMPORAL_API_KEY",
        hide_env_values = true
    )]
    pub api_key: Option<SecretString>,
    /// Prefix of every task queue's name, so that several deployments can share a namespace. Empty by default.
    #[arg(long, env = "ORCHESTRATOR_TASK_QUEUE_PREFIX", default_value = "")]
    pub task_queue_prefix: String,
}

impl Temporal {
    pub(crate) fn connection(&self) -> TemporalConfig {
        TemporalConfig {
            url: self.url.clone(),
            namespace: self.namespace.clone(),
            api_key: self.api_key.clone(),
        }
    }

    pub(crate) fn queues(&self) -> Queues {
        Queues::new(&self.task_queue_prefix)
    }
}
