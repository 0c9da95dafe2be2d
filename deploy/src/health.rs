//! Whether a process is alive, ready, and what it counts.

use std::time::Duration;

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use serde_json::{Value, json};
use store::{Store, StoreError, outbox, sweep};
use workflows::Temporal;

use crate::telemetry;

/// How long the database may take to show that it is there.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Parts {
    store: Store,
    temporal: Temporal,
}

/// `/healthz` (the process runs), `/readyz` (it can take work), `/metrics` (Prometheus).
pub(crate) fn router(store: Store, temporal: Temporal) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Parts { store, temporal })
}

/// Ready is whoever reaches the database: charges are presented without Temporal too.
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
        Json(json!({ "database": database, "temporal": parts.temporal.is_here() })),
    )
}

async fn metrics(State(parts): State<Parts>) -> String {
    let handle = telemetry::metrics();
    if let Err(error) = gauges(&parts).await {
        tracing::warn!(%error, "some metrics could not be read");
    }
    handle.render()
}

/// What is read from the database whenever somebody asks: the watcher of the watcher, and what waits for Kafka.
async fn gauges(parts: &Parts) -> Result<(), StoreError> {
    let mut db = parts.store.pool.acquire().await?;
    let overdue = sweep::overdue_s(&mut db).await?;
    let backlog = outbox::backlog(&mut db).await?;
    let oldest_s = overdue.iter().map(|(_, age_s)| *age_s).fold(0.0, f64::max);
    ::metrics::gauge!("oldest_look_at_overdue_seconds").set(oldest_s);
    for (kind, age_s) in overdue {
        ::metrics::gauge!("overdue_seconds", "kind" => kind.as_ref().to_owned()).set(age_s);
    }
    ::metrics::gauge!("outbox_messages").set(f64::from(
        i32::try_from(backlog.messages).unwrap_or(i32::MAX),
    ));
    ::metrics::gauge!("outbox_oldest_age_seconds").set(backlog.oldest_age_s);
    ::metrics::gauge!("temporal_here").set(f64::from(u8::from(parts.temporal.is_here())));
    Ok(())
}
