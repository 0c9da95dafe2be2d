//! Receiver of notifications: stores each request and answers 200.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use gateways::Received;
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};
use url::Url;

use crate::bench::now;

#[derive(Clone, Default)]
struct Inbox {
    received: Arc<Mutex<Vec<Received>>>,
    arrived: Arc<Notify>,
}

pub(crate) struct Receiver {
    pub url: Url,
    inbox: Inbox,
    /// Stops the server when dropped.
    _server: JoinSet<()>,
}

async fn take(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let headers = headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let received = Received {
        headers,
        body: body.to_vec(),
        at: now(),
    };
    inbox
        .received
        .lock()
        .expect("no thread panicked")
        .push(received);
    inbox.arrived.notify_waiters();
    StatusCode::OK
}

/// Serves on any free port, until the set is dropped.
pub(crate) async fn served(app: Router) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, app).await.expect("it serves") });
    (address, server)
}

impl Receiver {
    pub(crate) async fn open() -> Self {
        let inbox = Inbox::default();
        let app = Router::new().fallback(take).with_state(inbox.clone());
        let (address, server) = served(app).await;
        Self {
            url: Url::parse(&format!("http://{address}/notifications/s3cret")).expect("an address"),
            inbox,
            _server: server,
        }
    }

    /// Returns all requests received, once there are at least `count`.
    pub(crate) async fn at_least(&self, count: usize) -> Vec<Received> {
        loop {
            let arrived = self.inbox.arrived.notified();
            tokio::pin!(arrived);
            // registered before the check, so that no arrival is missed
            arrived.as_mut().enable();
            {
                let received = self.inbox.received.lock().expect("no thread panicked");
                if received.len() >= count {
                    return received.clone();
                }
            }
            arrived.await;
        }
    }
}
