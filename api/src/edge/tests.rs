use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::{
    body::{Body, Bytes, to_bytes},
    routing::{get, post},
};
use futures::stream;
use schemas::problem::Problem;
use tower::ServiceExt;

use super::*;
use crate::input::Path;

const MAX_BODY: usize = 64;

async fn fall_over(Path(_id): Path<String>) -> StatusCode {
    panic!("on purpose")
}

async fn store_fails() -> Result<StatusCode, Error> {
    let cause = store::StoreError::corrupt("charges", "on purpose");
    Err(cause.into())
}

fn edge() -> Router {
    let routes = limited(
        Router::new()
            .route("/things/{id}", get(fall_over))
            .route("/things", post(async |body: Bytes| body.len().to_string()))
            .route("/store", get(store_fails))
            .route("/never", get(std::future::pending::<StatusCode>)),
        MAX_BODY,
    )
    .fallback(error::no_such_route)
    .method_not_allowed_fallback(error::no_such_method);
    let edge = Edge {
        docs: "http://docs.example/docs".parse().expect("a URL"),
        body_within: Duration::from_millis(50),
        request_within: Duration::from_millis(500),
    };
    edge.wrap(routes)
}

fn request(method: &str, path: &str, body: Body) -> Request {
    let request = axum::http::Request::builder().method(method).uri(path);
    let request = request.header("request-id", "req_of_the_client").body(body);
    request.expect("a request")
}

async fn problem(request: Request) -> Problem {
    let response = edge().oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    assert_eq!(parts.headers["content-type"], error::PROBLEM_JSON);
    let bytes = to_bytes(body, 10_000).await.expect("a body");
    let problem: Problem = serde_json::from_slice(&bytes).expect("a problem");
    assert_eq!(parts.headers["request-id"], *problem.request_id);
    assert!(problem.request_id.starts_with("req_0"));
    assert_eq!(parts.status.as_u16(), problem.status);
    problem
}

#[tokio::test]
async fn every_error_is_a_problem_with_the_requests_id() {
    let long = "x".repeat(MAX_BODY + 1);
    for (method, path, body, status, code) in [
        ("GET", "/nothing", "", 404, "not_found"),
        ("GET", "/%ff", "", 404, "not_found"),
        ("GET", "/things/%ff", "", 422, "invalid_request"),
        ("GET", "/things/1", "", 500, "internal_error"),
        ("GET", "/store", "", 503, "unavailable"),
        ("GET", "/never", "", 503, "unavailable"),
        ("BREW", "/things", "", 405, "method_not_allowed"),
        ("BREW", "/nothing", "", 404, "not_found"),
        ("POST", "/things", &long, 413, "body_too_large"),
    ] {
        let problem = problem(request(method, path, body.to_owned().into())).await;
        assert_eq!(
            (problem.status, &*problem.code),
            (status, code),
            "{method} {path}"
        );
    }
    let wrong = problem(request("GET", "/things/%ff", Body::empty())).await;
    assert_eq!(wrong.param.as_deref(), Some("id"));
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let never = Body::from_stream(stream::pending::<Result<Bytes, io::Error>>());
    let problem = problem(request("POST", "/things", never)).await;
    assert_eq!(problem.code, "request_timeout");
}

#[tokio::test]
async fn a_success_has_the_requests_id_and_its_body_arrives_whole() {
    let sent = request("POST", "/things", "x".repeat(MAX_BODY).into());
    let response = edge().oneshot(sent).await.expect("an answer");
    let id = response.headers()["request-id"].to_str().expect("text");
    assert!(id.starts_with("req_0"), "{id}");
    let body = to_bytes(response.into_body(), 100).await.expect("a body");
    assert_eq!(body, MAX_BODY.to_string());
}

#[test]
fn a_method_of_the_clients_own_is_no_label() {
    assert_eq!(method_label(&Method::POST), "POST");
    let own = Method::from_bytes(b"A1").expect("a method");
    assert_eq!(method_label(&own), "other");
}

/// Log lines of a test.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the log of one request, with the request's id.
async fn logged(request: Request) -> (Vec<serde_json::Value>, String) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let response = edge().oneshot(request).await.expect("an answer");
    drop(guard);
    let id = response.headers()["request-id"]
        .to_str()
        .expect("text")
        .to_owned();
    let text = String::from_utf8(lines.bytes().clone()).expect("text");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    (lines.collect(), id)
}

#[tokio::test]
async fn a_request_is_one_line_with_its_id_and_route_and_without_its_path_and_body() {
    let (lines, id) = logged(request(
        "BREW",
        "/things/secret?key=secret",
        "secret".into(),
    ))
    .await;
    let [line] = lines.as_slice() else {
        panic!("one line: {lines:?}")
    };
    assert_eq!(line["message"], "request");
    assert_eq!(
        (&line["status"], &line["code"]),
        (&405.into(), &"method_not_allowed".into())
    );
    let span = &line["span"];
    assert_eq!(span["request"], id);
    assert_eq!(
        (&span["method"], &span["route"]),
        (&"other".into(), &"/things/{id}".into())
    );
    assert!(!line.to_string().contains("secret"), "{line}");
}

#[tokio::test]
async fn a_failure_of_the_store_is_logged_once_with_its_cause_and_the_requests_id() {
    let (lines, id) = logged(request("GET", "/store", Body::empty())).await;
    let errors: Vec<_> = lines
        .iter()
        .filter(|line| line["level"] == "ERROR")
        .collect();
    let [error] = errors.as_slice() else {
        panic!("one error: {lines:?}")
    };
    assert!(
        error["error"]
            .as_str()
            .is_some_and(|cause| cause.contains("on purpose"))
    );
    assert_eq!(error["span"]["request"], id);
    assert_eq!(lines.len(), 2);
}
