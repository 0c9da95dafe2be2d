//! The parts that are killed.

use std::{path::Path, process::Stdio};

use anyhow::ensure;
use tokio::process::Command;

/// Keeps the pids of what runs; its ports and folders come from the environment.
const STACK: &str = "deploy/local/stack.sh";

/// A process of the stack.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Component {
    Api,
    Worker,
    Relay,
    Temporal,
    Postgres,
}

impl Component {
    pub(crate) const ALL: [Self; 5] = [
        Self::Api,
        Self::Worker,
        Self::Relay,
        Self::Temporal,
        Self::Postgres,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Relay => "relay",
            Self::Temporal => "temporal",
            Self::Postgres => "postgres",
        }
    }

    /// Sends the signal and waits until it is gone.
    pub(crate) async fn end(self, signal: &str) -> anyhow::Result<()> {
        stack(&["end", self.name(), signal]).await
    }

    /// Sends it a signal, and does not wait.
    pub(crate) async fn signal(self, signal: &str) -> anyhow::Result<()> {
        stack(&["signal", self.name(), signal]).await
    }

    /// Starts it; services are then ready, roles may still be getting so.
    pub(crate) async fn start(self, orchestrator: &Path) -> anyhow::Result<()> {
        let name = self.name();
        match self {
            Self::Temporal | Self::Postgres => stack(&["start", name]).await,
            Self::Api | Self::Worker | Self::Relay => {
                stack(&["run", name, &orchestrator.to_string_lossy(), name]).await
            }
        }
    }
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

async fn stack(arguments: &[&str]) -> anyhow::Result<()> {
    // what it starts lives on, and must not hold a pipe of ours
    let status = Command::new(STACK)
        .args(arguments)
        .stdout(Stdio::null())
        .status()
        .await?;
    ensure!(status.success(), "{STACK} {arguments:?}: {status}");
    Ok(())
}
