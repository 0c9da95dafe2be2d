//! The parts of the stack that the chaos test kills.

use std::{path::Path, process::Stdio};

use anyhow::ensure;
use tokio::process::Command;

/// Script that stores the pids of the running processes; their ports and folders come from the environment.
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

    /// Sends the signal and waits until the process has ended.
    pub(crate) async fn end(self, signal: &str) -> anyhow::Result<()> {
        stack(&["end", self.name(), signal]).await
    }

    /// Sends the signal without waiting.
    pub(crate) async fn signal(self, signal: &str) -> anyhow::Result<()> {
        stack(&["signal", self.name(), signal]).await
    }

    /// Starts the process. A service is ready when this returns; a role may still be starting.
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
    // the processes that the script starts outlive it and must not hold a pipe of this process
    let status = Command::new(STACK)
        .args(arguments)
        .stdout(Stdio::null())
        .status()
        .await?;
    ensure!(status.success(), "{STACK} {arguments:?}: {status}");
    Ok(())
}
