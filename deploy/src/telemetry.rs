//! Logs and metrics of a process.

use std::{io::IsTerminal, sync::OnceLock};

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Config, LogFormat};

/// Bounds of the histograms of seconds.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0,
];

/// Starts logging to standard error. A second call does nothing.
pub fn log(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log.filter).context("ORCHESTRATOR_LOG")?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let _: Result<(), _> = match config.log.format {
        LogFormat::Json => registry
            .with(lines.json().flatten_event(true).with_span_list(false))
            .try_init(),
        LogFormat::Pretty => registry.with(lines.compact()).try_init(),
    };
    Ok(())
}

/// Returns the process's metrics.
pub fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS);
        let recorder = builder.map_or_else(
            |_| PrometheusBuilder::new().build_recorder(),
            metrics_exporter_prometheus::PrometheusBuilder::build_recorder,
        );
        let handle = recorder.handle();
        // if another recorder is installed in this process (by a test), it counts, and this one stays empty
        let _ = ::metrics::set_global_recorder(recorder);
        handle
    })
}
