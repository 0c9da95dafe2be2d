//! The merchant's server: receives webhooks, checks their signatures with an independent library, and fails when a test wants it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::eventually;

/// A received webhook.
#[derive(Clone, Debug)]
pub struct ReceivedWebhook {
    /// `webhook-id`.
    pub id: String,
    /// Status that the server answered.
    pub answered: u16,
    pub event: Value,
}

#[derive(Default)]
struct Inside {
    secret: Option<String>,
    answers: VecDeque<u16>,
    arrived: Vec<ReceivedWebhook>,
    forged: usize,
}

/// The server. It stops when dropped.
#[derive(Clone)]
pub struct MerchantServer {
    pub url: Url,
    inside: Arc<Mutex<Inside>>,
    _stop: Arc<DropGuard>,
}

impl MerchantServer {
    /// Opens the server on any free port.
    pub async fn open() -> Self {
        let inside = Arc::<Mutex<Inside>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!(
            "http://{}/hooks",
            listener.local_addr().expect("an address")
        )
        .parse()
        .expect("a URL");
        let router = Router::new()
            .route("/hooks", post(arrive))
            .with_state(inside.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serving = async move {
            let _ = axum::serve(listener, router)
                .with_graceful_shutdown(stopped.cancelled_owned())
                .await;
        };
        tokio_util::task::TaskTracker::new().spawn(serving);
        Self {
            url,
            inside,
            _stop: Arc::new(stop.drop_guard()),
        }
    }

    fn inside(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the key of the endpoint's signatures.
    pub fn trust(&self, secret: &str) {
        self.inside().secret = Some(secret.to_owned());
    }

    /// Answers the next webhooks with these statuses, then 204 again.
    pub fn answer(&self, statuses: impl IntoIterator<Item = u16>) {
        self.inside().answers.extend(statuses);
    }

    /// Returns all received webhooks with a valid signature.
    pub fn arrived(&self) -> Vec<ReceivedWebhook> {
        self.inside().arrived.clone()
    }

    /// Returns the number of webhooks with a wrong signature.
    pub fn forged(&self) -> usize {
        self.inside().forged
    }

    /// Waits for an accepted webhook of that type about that charge.
    pub async fn received(&self, kind: &str, charge: &str) -> ReceivedWebhook {
        eventually(
            &format!("the merchant receives {kind} of {charge}"),
            || async {
                let arrived = self.arrived();
                let found = arrived.iter().find(|a| {
                    a.answered < 300
                        && a.event["type"] == kind
                        && a.event["subject"]["id"] == charge
                });
                found.cloned().ok_or_else(|| {
                    arrived
                        .iter()
                        .map(|a| (a.event["type"].clone(), a.answered))
                        .collect::<Vec<_>>()
                })
            },
        )
        .await
    }
}

async fn arrive(
    State(inside): State<Arc<Mutex<Inside>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mut inside = inside.lock().unwrap_or_else(PoisonError::into_inner);
    let genuine = inside.secret.as_deref().is_some_and(|secret| {
        Webhook::new(secret).is_ok_and(|key| key.verify(&body, &headers).is_ok())
    });
    if !genuine {
        inside.forged += 1;
        return StatusCode::UNAUTHORIZED;
    }
    let answered = inside.answers.pop_front().unwrap_or(204);
    let id = headers
        .get("webhook-id")
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let event = serde_json::from_slice(&body).unwrap_or_default();
    inside.arrived.push(ReceivedWebhook {
        id,
        answered,
        event,
    });
    StatusCode::from_u16(answered).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
