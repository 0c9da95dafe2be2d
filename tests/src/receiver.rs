//! A merchant's server with configurable answers: late, with headers, with a long body. It counts connections.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    routing::post,
    serve::ListenerExt,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use url::Url;

/// Answer of the server.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// Delay before the answer.
    pub after: Duration,
    pub retry_after: Option<String>,
    pub body_bytes: usize,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            after: Duration::ZERO,
            retry_after: None,
            body_bytes: 0,
        }
    }
}

/// A received POST.
#[derive(Clone, Debug)]
pub struct Post {
    /// `webhook-id`.
    pub id: String,
    pub at: SystemTime,
}

struct Inside {
    reply: Mutex<Reply>,
    arrived: Mutex<Vec<Post>>,
    connections: AtomicUsize,
    held: watch::Sender<bool>,
}

/// The server. It stops when dropped.
pub struct Receiver {
    pub url: Url,
    inside: Arc<Inside>,
    _stop: DropGuard,
}

impl Receiver {
    /// Opens the server on any free port; it answers 204 at once.
    pub async fn open() -> Self {
        let inside = Arc::new(Inside {
            reply: Mutex::new(Reply::status(204)),
            arrived: Mutex::default(),
            connections: AtomicUsize::new(0),
            held: watch::Sender::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let url = format!("http://{address}/hooks").parse().expect("a URL");
        let counted = inside.clone();
        let listener = listener.tap_io(move |_| {
            counted.connections.fetch_add(1, Ordering::Relaxed);
        });
        let router = Router::new()
            .route("/hooks", post(arrive))
            .with_state(inside.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        TaskTracker::new().spawn(async move {
            let _ = stopped
                .run_until_cancelled(async move { axum::serve(listener, router).await })
                .await;
        });
        Self {
            url,
            inside,
            _stop: stop.drop_guard(),
        }
    }

    /// Sets the answer from now on.
    pub fn reply(&self, reply: Reply) {
        *lock(&self.inside.reply) = reply;
    }

    /// Holds answers back until [`Self::release`].
    pub fn hold(&self) {
        self.inside.held.send_replace(true);
    }

    /// Sends the answers that were held back.
    pub fn release(&self) {
        self.inside.held.send_replace(false);
    }

    /// Returns each received POST.
    pub fn arrived(&self) -> Vec<Post> {
        lock(&self.inside.arrived).clone()
    }

    /// Returns the number of opened connections.
    pub fn connections(&self) -> usize {
        self.inside.connections.load(Ordering::Relaxed)
    }
}

async fn arrive(
    State(inside): State<Arc<Inside>>,
    headers: HeaderMap,
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok());
    lock(&inside.arrived).push(Post {
        id: id.unwrap_or_default().to_owned(),
        at: SystemTime::now(),
    });
    let _ = inside.held.subscribe().wait_for(|held| !held).await;
    let reply = lock(&inside.reply).clone();
    tokio::time::sleep(reply.after).await;
    let mut headers = HeaderMap::new();
    if let Some(wait) = reply.retry_after {
        let value = HeaderValue::from_str(&wait).expect("a header");
        headers.insert(HeaderName::from_static("retry-after"), value);
    }
    let status = StatusCode::from_u16(reply.status).expect("a status");
    (status, headers, vec![b'.'; reply.body_bytes])
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
