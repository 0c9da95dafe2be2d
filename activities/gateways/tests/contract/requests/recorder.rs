//! Proxy in front of a simulator, which records our client's requests.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::to_bytes,
    extract::{self, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use reqwest::Client;
use tokio::task::JoinSet;
use url::Url;

use crate::receiver::served;

/// Longest body that is forwarded.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Request of our client.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Simulator's answer. `None`: the connection broke.
    pub answer: Option<Answer>,
}

/// Answer of a simulator.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

#[derive(Clone)]
struct Passage {
    target: Url,
    client: Client,
    kept: Arc<Mutex<Vec<Request>>>,
}

pub(crate) struct Recorder {
    pub url: Url,
    kept: Arc<Mutex<Vec<Request>>>,
    /// Stops the server when dropped.
    _server: JoinSet<()>,
}

impl Recorder {
    pub(crate) async fn before(target: &Url) -> Self {
        let kept = Arc::default();
        let passage = Passage {
            target: target.clone(),
            client: gateways::http::webhook_client(true).expect("a client"),
            kept: Arc::clone(&kept),
        };
        let app = Router::new().fallback(pass).with_state(passage);
        let (address, server) = served(app).await;
        Self {
            url: Url::parse(&format!("http://{address}")).expect("an address"),
            kept,
            _server: server,
        }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.kept.lock().expect("no thread panicked").clone()
    }
}

async fn pass(State(passage): State<Passage>, request: extract::Request) -> Response {
    let (mut head, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES).await.expect("a body");
    let mut url = passage.target.clone();
    url.set_path(head.uri.path());
    url.set_query(head.uri.query());
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers.clone(),
        body: body.to_vec(),
        answer: None,
    };
    let n = {
        let mut kept = passage.kept.lock().expect("no panic before");
        kept.push(request);
        kept.len() - 1
    };
    head.headers.remove(header::HOST);
    let asked = passage
        .client
        .request(head.method, url)
        .headers(head.headers)
        .body(body);
    // the simulator broke the connection: for our clients a 502 is just as unknown
    let Ok(answer) = asked.send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    for hop in [header::TRANSFER_ENCODING, header::CONNECTION] {
        headers.remove(hop);
    }
    let Ok(body) = answer.bytes().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let answer = Answer {
        status: status.as_u16(),
        body: body.to_vec(),
    };
    passage.kept.lock().expect("no panic before")[n].answer = Some(answer);
    (status, headers, body).into_response()
}
