//! HTTP server that receives a merchant's notifications.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use crate::server::{TestServer, id};

/// Timeout for the next notification, longer than any expected delay.
const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const TOKEN: &str = "a-secret-that-both-know-0123456789";

#[derive(Clone)]
struct Ear {
    answers: Arc<Mutex<VecDeque<u16>>>,
    received: UnboundedSender<(HeaderMap, Value)>,
}

pub(crate) struct Listener {
    pub url: String,
    answers: Arc<Mutex<VecDeque<u16>>>,
    received: UnboundedReceiver<(HeaderMap, Value)>,
}

async fn receive(
    State(ear): State<Ear>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> StatusCode {
    let next = ear.answers.lock().expect("a lock").pop_front();
    ear.received
        .send((headers, body))
        .expect("the port is open");
    StatusCode::from_u16(next.unwrap_or(200)).expect("a status")
}

impl Listener {
    pub(crate) async fn open() -> Self {
        let (sender, received) = unbounded_channel();
        let answers = Arc::default();
        let ear = Ear {
            answers: Arc::clone(&answers),
            received: sender,
        };
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hooks", socket.local_addr().expect("an address"));
        let router = Router::new().route("/hooks", post(receive)).with_state(ear);
        TaskTracker::new().spawn(async move { axum::serve(socket, router).await });
        Self {
            url,
            answers,
            received,
        }
    }

    /// Opens a listener and registers it as a webhook for these events. Returns the listener and the webhook's id.
    pub(crate) async fn of(server: &TestServer, events: &[&str], more: Value) -> (Self, String) {
        let listener = Self::open().await;
        let mut webhook = json!({
            "name": "tests", "url": listener.url, "email": "ops@example.com", "enabled": true, "interrupted": false,
            "apiVersion": 3, "authToken": TOKEN, "sendType": "SEQUENTIALLY", "events": events,
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            webhook[name] = value.clone();
        }
        let webhook = server.make("/v3/webhooks", webhook).await;
        (listener, id(&webhook))
    }

    /// Sets the statuses of the next responses. Later responses are 200.
    pub(crate) fn answer(&self, statuses: impl IntoIterator<Item = u16>) {
        self.answers.lock().expect("a lock").extend(statuses);
    }

    pub(crate) async fn next(&mut self) -> (HeaderMap, Value) {
        let next = timeout(PATIENCE, self.received.recv()).await;
        next.expect("an event in time").expect("an event")
    }

    /// Returns the next event's name and its object.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        let (_, mut body) = self.next().await;
        let event = body["event"].as_str().expect("a name").to_owned();
        let about = if event.starts_with("CHECKOUT") {
            "checkout"
        } else {
            "payment"
        };
        (event, body[about].take())
    }

    /// Returns the names of the next events, each with its object's status.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<String> {
        let mut events = Vec::new();
        for _ in 0..count {
            let (event, about) = self.event().await;
            events.push(format!(
                "{event} {}",
                about["status"].as_str().unwrap_or_default()
            ));
        }
        events
    }

    /// Returns true if no other event was received.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.received.try_recv().is_err()
    }
}

/// Binds a port whose predecessor is free. They are below the ephemeral range: no client's connection takes the free one meanwhile.
fn port_after_a_free_one() -> (std::net::TcpListener, std::net::SocketAddr) {
    let bind = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).ok();
    let found = (21_000..32_000).step_by(7).find_map(|port| {
        let _free = bind(port)?;
        let listener = bind(port + 1)?;
        let taken = listener.local_addr().ok()?;
        Some((listener, taken))
    });
    found.expect("two free ports")
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    // the port of another listener, which would be the control's, or the first simulator's
    let (_held, taken) = port_after_a_free_one();
    for port in [taken.port(), taken.port() - 1] {
        let options = simulators::Options {
            port,
            ..simulators::Options::for_test(7)
        };
        let started = simulators::start(options).await;
        let error = started.err().expect("the port is taken");
        let error = format!("{error:#}");
        assert!(error.contains(&taken.to_string()), "{error}");
    }
}
