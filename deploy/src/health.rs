//! Health and metrics of a process.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use serde_json::{Value, json};
use store::{Store, StoreError, connections::feeds, outbox, sweep};
use tokio::sync::Mutex;
use workflows::WorkflowClient;

use crate::telemetry;

/// Time limit for a query of the database.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Time for which gauges read from the database are reused.
const GAUGES_LAST: Duration = Duration::from_secs(10);

/// Sources of health and metrics. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Parts {
    store: Store,
    temporal: WorkflowClient,
    /// Time at which the gauges were last read.
    gauges_at: Arc<Mutex<Option<Instant>>>,
}

impl Parts {
    pub(crate) fn new(store: Store, temporal: WorkflowClient) -> Self {
        Self {
            store,
            temporal,
            gauges_at: Arc::default(),
        }
    }
}

/// Returns the routes `/healthz` (the process runs) and `/readyz` (it can accept work).
pub(crate) fn router(parts: Parts) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(parts)
}

/// Returns the route `/metrics` (Prometheus): never on a port that clients reach.
pub(crate) fn metrics_router(parts: Parts) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(parts)
}

/// Reports a process as ready if it reaches the database: charges are presented without Temporal too.
async fn ready(State(parts): State<Parts>) -> (StatusCode, Json<Value>) {
    let pinged = tokio::time::timeout(PING_TIMEOUT, parts.store.ping()).await;
    let database = matches!(pinged, Ok(Ok(())));
    let status = if database {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(json!({ "database": database, "temporal": parts.temporal.is_up() })),
    )
}

async fn metrics(State(parts): State<Parts>) -> String {
    let handle = telemetry::metrics();
    refresh(&parts).await;
    connections(&parts);
    handle.render()
}

/// Counts this process's connections to the database at every scrape: that needs no query.
fn connections(parts: &Parts) {
    let pool = &parts.store.pool;
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    let in_use = pool.size().saturating_sub(idle);
    ::metrics::gauge!("database_connections_in_use").set(f64::from(in_use));
    ::metrics::gauge!("database_connections_max")
        .set(f64::from(pool.options().get_max_connections()));
}

/// Reads the gauges from the database, unless they were read, or failed, a moment ago.
async fn refresh(parts: &Parts) {
    let mut gauges_at = parts.gauges_at.lock().await;
    if gauges_at.is_some_and(|at| at.elapsed() < GAUGES_LAST) {
        return;
    }
    *gauges_at = Some(Instant::now());
    match tokio::time::timeout(PING_TIMEOUT, gauges(parts)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "some metrics could not be read"),
        Err(_) => tracing::warn!("some metrics could not be read in time"),
    }
}

/// Reads the gauges from the database: overdue checks, polling watermarks, and the outbox's backlog.
async fn gauges(parts: &Parts) -> Result<(), StoreError> {
    let mut db = parts.store.pool.acquire().await?;
    for (api, age_s) in feeds::oldest_s(&mut db).await? {
        ::metrics::gauge!("polling_oldest_watermark_seconds", "api" => api).set(age_s);
    }
    let overdue = sweep::overdue_s(&mut db).await?;
    let backlog = outbox::backlog(&mut db).await?;
    let oldest_s = overdue.iter().map(|(_, age_s)| *age_s).fold(0.0, f64::max);
    ::metrics::gauge!("overdue_checks_max_age_seconds").set(oldest_s);
    for (kind, age_s) in overdue {
        ::metrics::gauge!("overdue_seconds", "kind" => kind.as_ref().to_owned()).set(age_s);
    }
    ::metrics::gauge!("outbox_messages").set(f64::from(
        i32::try_from(backlog.messages).unwrap_or(i32::MAX),
    ));
    ::metrics::gauge!("outbox_oldest_age_seconds").set(backlog.oldest_age_s);
    ::metrics::gauge!("temporal_up").set(f64::from(u8::from(parts.temporal.is_up())));
    Ok(())
}
