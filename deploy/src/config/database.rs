use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use store::vault::{DataKey, VaultError};

/// PostgreSQL, and the key of its sealed data.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Database")]
pub struct Database {
    /// PostgreSQL, 18 or later: `postgres://user:password@host:port/database`.
    #[arg(
        id = "database-url",
        long = "database-url",
        env = "ORCHESTRATOR_DATABASE_URL",
        hide_env_values = true
    )]
    pub url: SecretString,
    /// Maximum number of connections to PostgreSQL of one process. None is held during a call to a gateway or a merchant's server, so that
    /// a few are enough: two thirds of them are for requests that create or change something.
    #[arg(
        id = "database-connections",
        long = "database-connections",
        env = "ORCHESTRATOR_DATABASE_CONNECTIONS",
        default_value_t = 24
    )]
    pub connections: u32,
    /// Key that wraps all others: 32 bytes in base64 (`openssl rand -base64 32`). Without it all sealed data is lost.
    #[arg(long, env = "ORCHESTRATOR_MASTER_KEY", hide_env_values = true)]
    pub master_key: SecretString,
}

impl Database {
    /// Returns the master key.
    pub fn master(&self) -> Result<DataKey, VaultError> {
        DataKey::master(self.master_key.expose_secret())
    }

    /// Returns the number of requests that may use the database concurrently: the rest of the connections is for workers, notifications and
    /// reads.
    pub(crate) fn requests_at_work(&self) -> usize {
        let connections = usize::try_from(self.connections).unwrap_or(usize::MAX);
        (connections - connections / 3).max(1)
    }
}
