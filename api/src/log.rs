//! One line per request, by route template; the request's id; problems written out.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, header::HeaderName},
    middleware::Next,
    response::Response,
};
use uuid::Uuid;

use crate::{App, Error, error};

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Wraps every request.
pub(crate) async fn log(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = format!("req_{}", Uuid::now_v7().simple());
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "(none)".to_owned(), |path| path.as_str().to_owned());
    let mut response = next.run(request).await;
    let wrong = response.extensions_mut().remove::<Error>();
    let code = wrong.as_ref().map_or("", |error| error.code().into());
    if let Some(wrong) = wrong {
        response = error::write(wrong.problem(&app.config.docs_url, id.clone()), response);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let status = response.status().as_u16();
    let took = started.elapsed();
    let labels = [
        ("method", method.to_string()),
        ("route", route.clone()),
        ("status", status.to_string()),
    ];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_seconds", "route" => route.clone()).record(took);
    tracing::info!(request = id, %method, route, status, code, ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "request");
    response
}
