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
    Action, Held, Outgoing, asaas,
    certificates::Certificates,
    cobrancas,
    control::ControlApi,
    efi,
    listener::dated,
    notify,
    sim::{Sim, lock},
    stripe,
};

/// Largest response body in bytes.
const MAX_BODY: usize = 1 << 22;

/// All simulators by name: `efi`, `efi_cobrancas`, `stripe`, `asaas`.
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
        let efi = Arc::new(efi::Efi::new(sim("efi"), certificates.client()?));
        let cobrancas = Arc::new(cobrancas::Cobrancas::new(Arc::new(sim("efi_cobrancas"))));
        let stripe = Arc::new(stripe::Stripe::new(Arc::new(sim("stripe"))));
        let asaas = Arc::new(asaas::Asaas::new(Arc::new(sim("asaas"))));
        let all: [(Arc<dyn ControlApi>, Router); 4] = [
            (efi.clone(), efi::router(efi)),
            (cobrancas.clone(), cobrancas::router(cobrancas)),
            (stripe.clone(), stripe::router(stripe)),
            (asaas.clone(), asaas::router(asaas)),
        ];
        Ok(Self {
            gateways: all.map(|one| (one.0.sim().name, one)).into(),
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
