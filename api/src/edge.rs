//! Layers around all routes: the request's id, one log line and one count per request, limits of time, a barrier for panics, and the body of
//! every problem.

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    timeout::{RequestBodyDeadlineLayer, TimeoutLayer},
    trace::TraceLayer,
};
use tracing::Span;
use url::Url;
use uuid::Uuid;

use crate::{Code, Error, error, input};

#[cfg(test)]
mod tests;

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Limits and addresses that all routes share.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// Base URL of the explanations of error codes.
    pub(crate) docs: Url,
    /// Maximum time for a request's body to arrive. It bounds the connection of a client that sends byte by byte.
    pub(crate) body_within: Duration,
    /// Maximum time of a request as a whole. Every step has its own shorter limit; this one ends a request that none of them ended.
    pub(crate) request_within: Duration,
}

impl Edge {
    /// Wraps `routes`. The last layer is the outermost.
    pub(crate) fn wrap(self, routes: Router) -> Router {
        let log = TraceLayer::new_for_http()
            .make_span_with(span)
            .on_request(())
            .on_response(log)
            .on_body_chunk(())
            .on_eos(())
            .on_failure(());
        routes
            .layer(CatchPanicLayer::custom(panicked))
            .layer(TimeoutLayer::with_status_code(
                StatusCode::SERVICE_UNAVAILABLE,
                self.request_within,
            ))
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            .layer(middleware::map_response_with_state(
                Arc::new(self.docs),
                describe,
            ))
            .layer(middleware::from_fn(measure))
            .layer(log)
            .layer(SetRequestIdLayer::new(REQUEST_ID, OurRequestId))
            .layer(middleware::map_request(without_request_id))
            .layer(RequestBodyDeadlineLayer::new(self.body_within))
    }
}

/// Limits the size of the bodies of `routes`, in bytes. The whole body is received before a request is handled.
pub(crate) fn limited<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    max: usize,
) -> Router<S> {
    routes
        .layer(middleware::from_fn(input::whole))
        .layer(DefaultBodyLimit::max(max))
}

/// Removes the client's own request id: ours are unique.
async fn without_request_id(mut request: Request) -> Request {
    request.headers_mut().remove(REQUEST_ID);
    request
}

/// Source of request ids.
#[derive(Clone)]
struct OurRequestId;

impl MakeRequestId for OurRequestId {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        let id = format!("req_{}", Uuid::now_v7().simple());
        HeaderValue::from_str(&id).ok().map(RequestId::new)
    }
}

fn panicked(_message: Box<dyn Any + Send>) -> Response {
    metrics::counter!("http_panics_total").increment(1);
    tracing::error!("a request's handler panicked");
    Error::new(Code::InternalError, "the request could not be handled").into_response()
}

/// Writes the body of a problem, and logs a failure of our own infrastructure.
async fn describe(State(docs): State<Arc<Url>>, mut response: Response) -> Response {
    let error = response.extensions_mut().remove::<Error>();
    let Some(error) = error.or_else(|| timed_out(&response)) else {
        return response;
    };
    if let Some(cause) = error.cause() {
        tracing::error!(error = %cause, "a request failed");
    }
    let id = response.headers().get(REQUEST_ID);
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    let (code, problem) = (error.code(), error.problem(&docs, id.to_owned()));
    let mut response = error::write(problem, response);
    response.extensions_mut().insert(code);
    response
}

/// Returns the error of a response that the layer of the time limit gave: it is the only one without an error of its own.
fn timed_out(response: &Response) -> Option<Error> {
    (response.status() == StatusCode::SERVICE_UNAVAILABLE).then(|| {
        tracing::error!("a request exceeded its time limit");
        Error::new(Code::Unavailable, "the request took too long").retry_after(1)
    })
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

/// Returns the template of the request's route: a path contains ids, and a notification's path a secret.
fn route_label<B>(request: &axum::http::Request<B>) -> &str {
    let path = request.extensions().get::<MatchedPath>();
    path.map_or("(none)", MatchedPath::as_str)
}

fn span<B>(request: &axum::http::Request<B>) -> Span {
    let id = request.extensions().get::<RequestId>();
    let id = id.and_then(|id| id.header_value().to_str().ok());
    tracing::info_span!(
        "http",
        request = id.unwrap_or_default(),
        method = method_label(request.method()),
        route = route_label(request),
    )
}

/// Logs one line per request, within its span.
fn log<B>(response: &axum::http::Response<B>, took: Duration, _: &Span) {
    let code = response.extensions().get::<Code>();
    tracing::info!(
        status = response.status().as_u16(),
        code = code.map_or("", |code| (*code).into()),
        ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "request"
    );
}

/// Counts a request by its method, route and status.
async fn measure(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_label(request.method());
    let route = route_label(&request).to_owned();
    let response = next.run(request).await;
    let labels = [
        ("method", method.to_owned()),
        ("route", route.clone()),
        ("status", response.status().as_u16().to_string()),
    ];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_seconds", "route" => route).record(started.elapsed());
    response
}
