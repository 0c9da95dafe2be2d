//! Request log: one line per request, by route template. Also assigns the request's id and writes problems, including those of panics.

use std::{any::Any, sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, header::HeaderName},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tower_http::catch_panic::CatchPanicLayer;
use url::Url;
use uuid::Uuid;

use crate::{Code, Error, error};

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// Wraps `routes` with the log. `docs` is the base URL of the explanations of error codes.
pub(crate) fn wrap(routes: Router, docs: Url) -> Router {
    routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(Arc::new(docs), log))
}

fn panicked(_message: Box<dyn Any + Send>) -> Response {
    metrics::counter!("http_panics_total").increment(1);
    tracing::error!("a request's handler panicked");
    Error::new(Code::InternalError, "the request could not be handled").into_response()
}

/// Returns the label of a method for logs and metrics. Unknown methods share one label, because a client may send any text.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

async fn log(State(docs): State<Arc<Url>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = format!("req_{}", Uuid::now_v7().simple());
    let method = method_label(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "(none)".to_owned(), |path| path.as_str().to_owned());
    let mut response = next.run(request).await;
    let wrong = response.extensions_mut().remove::<Error>();
    let code = wrong.as_ref().map_or("", |error| error.code().into());
    if let Some(wrong) = wrong {
        response = error::write(wrong.problem(&docs, id.clone()), response);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let status = response.status().as_u16();
    let took = started.elapsed();
    let labels = [
        ("method", method.to_owned()),
        ("route", route.clone()),
        ("status", status.to_string()),
    ];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_seconds", "route" => route.clone()).record(took);
    tracing::info!(
        request = id,
        method,
        route,
        status,
        code,
        ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "request"
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Body, Path};
    use axum::{
        body::to_bytes,
        extract::DefaultBodyLimit,
        http::StatusCode,
        routing::{get, post},
    };
    use schemas::problem::Problem;
    use tower::ServiceExt;

    const MAX_BODY: usize = 64;

    async fn fall_over(Path(_id): Path<String>) -> StatusCode {
        panic!("on purpose")
    }

    async fn read(body: Body) -> Result<StatusCode, Error> {
        body.json().map(|_| StatusCode::OK)
    }

    fn edge() -> Router {
        let routes = Router::new()
            .route("/things/{id}", get(fall_over))
            .route("/things", post(read))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .fallback(error::no_such_route)
            .method_not_allowed_fallback(error::no_such_method);
        wrap(routes, "http://docs.example/docs".parse().expect("a URL"))
    }

    async fn problem(method: &str, path: &str, body: &str) -> Problem {
        let request = axum::http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "text/csv")
            .body(axum::body::Body::from(body.to_owned()))
            .expect("a request");
        let response = edge().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        assert_eq!(parts.headers["content-type"], "application/problem+json");
        let bytes = to_bytes(body, 10_000).await.expect("a body");
        let problem: Problem = serde_json::from_slice(&bytes).expect("a problem");
        assert_eq!(parts.headers["request-id"], *problem.request_id);
        assert_eq!(parts.status.as_u16(), problem.status);
        problem
    }

    #[tokio::test]
    async fn whatever_is_wrong_is_a_problem_with_the_requests_id() {
        let long = "x".repeat(MAX_BODY + 1);
        for (method, path, body, status, code) in [
            ("GET", "/nothing", "", 404, "not_found"),
            ("GET", "/%ff", "", 404, "not_found"),
            ("GET", "/things/%ff", "", 422, "invalid_request"),
            ("GET", "/things/1", "", 500, "internal_error"),
            ("BREW", "/things", "", 405, "method_not_allowed"),
            ("BREW", "/nothing", "", 404, "not_found"),
            ("POST", "/things", "{", 400, "malformed_body"),
            ("POST", "/things", "a=b", 400, "malformed_body"),
            ("POST", "/things", &long, 413, "body_too_large"),
        ] {
            let problem = problem(method, path, body).await;
            assert_eq!(
                (problem.status, &*problem.code),
                (status, code),
                "{method} {path}"
            );
        }
        assert_eq!(
            problem("GET", "/things/%ff", "").await.param.as_deref(),
            Some("id")
        );
    }

    #[test]
    fn a_method_of_the_clients_own_is_no_label() {
        assert_eq!(method_label(&Method::POST), "POST");
        let own = Method::from_bytes(b"A1").expect("a method");
        assert_eq!(method_label(&own), "other");
    }
}
