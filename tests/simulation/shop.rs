//! The merchants' server, which takes deliveries on a real socket.

use axum::{Router, extract::State, http::StatusCode, routing::post};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use url::Url;

use super::borders::Borders;

pub(super) struct Shop {
    pub url: Url,
    /// Of a thousand deliveries, so many are not accepted.
    pub refuses: Arc<AtomicU64>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Counter(Borders, Arc<AtomicU64>);

impl Shop {
    #[expect(clippy::disallowed_methods, reason = "it ends with the shop")]
    pub(super) async fn open(borders: Borders) -> anyhow::Result<Self> {
        let refuses = Arc::new(AtomicU64::new(0));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}/hooks", listener.local_addr()?).parse()?;
        let router = Router::new()
            .route("/hooks", post(take))
            .with_state(Counter(borders, refuses.clone()));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            url,
            refuses,
            serving,
        })
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(Counter(borders, refuses)): State<Counter>) -> StatusCode {
    if borders.chance(refuses.load(Ordering::Relaxed)) {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::OK
    }
}
