//! Simulators without sockets, a running clock or sending of their own, for the seeded simulation. The simulation calls them directly,
//! moves their clock, and sends their notifications.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use chrono::{DateTime, Utc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::{
    Action, Held, Outgoing, SIMULATORS,
    certificates::Certificates,
    control::ControlApi,
    listener::dated,
    notify,
    sim::{Sim, lock},
};

/// Largest response body in bytes.
const MAX_BODY: usize = 1 << 22;

/// All simulators by their name in the control API.
pub struct InProcess {
    gateways: BTreeMap<&'static str, (Arc<dyn ControlApi>, Router)>,
    /// Client certificate and key that Efí accepts.
    pub client_pem: String,
}

impl InProcess {
    pub fn new(now: DateTime<Utc>) -> anyhow::Result<Self> {
        let certificates = Certificates::open(None)?;
        let sim = |name| {
            let sim = Sim::new(name, 0, TaskTracker::new(), CancellationToken::new());
            sim.stand_at(now);
            sim
        };
        let mut gateways = BTreeMap::new();
        for simulator in SIMULATORS {
            let api = (simulator.open)(sim(simulator.name), &certificates)?;
            let router = api.clone().router();
            let api: Arc<dyn ControlApi> = api;
            gateways.insert(simulator.name, (api, router));
        }
        Ok(Self {
            gateways,
            client_pem: certificates.client,
        })
    }

    /// Deletes all charges and reseeds the random generators. Registered webhook addresses remain.
    pub fn begin(&self, seed: u64, now: DateTime<Utc>) {
        for (n, (api, _)) in (0..).zip(self.gateways.values()) {
            api.forget();
            api.sim().reseed(seed.wrapping_mul(4).wrapping_add(n));
            api.sim().stand_at(now);
        }
    }

    /// Sets the clock and performs the actions that are due.
    pub fn stand_at(&self, now: DateTime<Utc>) {
        for (api, _) in self.gateways.values() {
            api.sim().stand_at(now);
            api.due();
        }
    }

    fn api(&self, gateway: &str) -> &Arc<dyn ControlApi> {
        &self.gateways[gateway].0
    }

    /// Handles a request and returns status, headers and body.
    pub async fn call(
        &self,
        gateway: &str,
        request: Request<Body>,
    ) -> (StatusCode, HeaderMap, Vec<u8>) {
        let (api, router) = &self.gateways[gateway];
        api.due();
        let answer = router.clone().oneshot(request).await;
        let answer = dated(api, answer.unwrap_or_else(|never| match never {}));
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
        (parts.status, parts.headers, body.to_vec())
    }

    /// Returns the gateway's own error response with this status.
    pub async fn refusal(
        &self,
        gateway: &str,
        status: StatusCode,
    ) -> (StatusCode, HeaderMap, Vec<u8>) {
        let (parts, body) = self.api(gateway).refusal(status).into_parts();
        let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
        (parts.status, parts.headers, body.to_vec())
    }

    /// Returns all charges that exist at the gateway.
    pub fn charges(&self, gateway: &str) -> Vec<Held> {
        self.api(gateway).charges()
    }

    /// Applies an action of a person, or of the passing of time, to a charge. Returns the reason as an error if it is not possible.
    pub fn act(&self, gateway: &str, charge: &str, action: Action) -> Result<(), String> {
        self.api(gateway).act(charge, action, true)
    }

    /// Takes the numbers of the notifications that are to be sent.
    pub fn left(&self, gateway: &str) -> Vec<usize> {
        std::mem::take(&mut *lock(&self.api(gateway).sim().left))
    }

    /// Returns a notification as it would be sent now, for example signed with the current time.
    pub fn written(&self, gateway: &str, n: usize) -> Option<Outgoing> {
        notify::written(self.api(gateway).sim(), n)
    }
}
