//! A merchant's server that only notes which events it received. It does not verify signatures, so that it costs little.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde_json::Value;
use tokio::{net::TcpListener, sync::Notify, time::timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use url::Url;

#[derive(Default)]
struct Inside {
    /// Type and subject of each received event.
    received: Mutex<HashSet<(String, String)>>,
    changed: Notify,
}

/// The server. It stops when dropped.
pub(crate) struct Listener {
    pub url: Url,
    inside: Arc<Inside>,
    _stop: DropGuard,
}

impl Listener {
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let inside = Arc::<Inside>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hooks", listener.local_addr()?).parse()?;
        let router = Router::new()
            .route("/hooks", post(receive))
            .with_state(inside.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        TaskTracker::new().spawn(async move {
            let serving = async move { axum::serve(listener, router).await };
            let _ = stopped.run_until_cancelled(serving).await;
        });
        Ok(Self {
            url,
            inside,
            _stop: stop.drop_guard(),
        })
    }

    /// Waits for an event. Returns false if it does not arrive in time.
    pub(crate) async fn received(&self, kind: &str, subject: &str, within: Duration) -> bool {
        let wanted = (kind.to_owned(), subject.to_owned());
        let waiting = async {
            loop {
                let changed = self.inside.changed.notified();
                tokio::pin!(changed);
                // registered before the check, so that no event is missed between the two
                changed.as_mut().enable();
                let received = self.inside.received.lock();
                if received
                    .unwrap_or_else(PoisonError::into_inner)
                    .contains(&wanted)
                {
                    return;
                }
                changed.await;
            }
        };
        timeout(within, waiting).await.is_ok()
    }
}

async fn receive(State(inside): State<Arc<Inside>>, Json(event): Json<Value>) -> StatusCode {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let received = (text(&event["type"]), text(&event["subject"]["id"]));
    let mut all = inside
        .received
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    all.insert(received);
    drop(all);
    inside.changed.notify_waiters();
    StatusCode::NO_CONTENT
}
