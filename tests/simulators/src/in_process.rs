//! The simulators without sockets, time or telling of their own, for the seeded simulation: called directly, moved by its clock;
//! what they would tell is taken from them.

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

/// The longest answer.
const MAX_BODY: usize = 1 << 22;

/// All simulators, by name: `efi`, `efi_cobrancas`, `stripe`, `asaas`.
pub struct InProcess {
    gateways: BTreeMap<&'static str, (Arc<dyn ControlApi>, Router)>,
    /// A client certificate and its key, which Efí takes.
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

    /// Forgets all charges and draws from a new seed. Addresses that were registered stay.
    pub fn begin(&self, seed: u64, now: DateTime<Utc>) {
        for (n, (api, _)) in (0..).zip(self.gateways.values()) {
            api.forget();
            api.sim().reseed(seed.wrapping_mul(4).wrapping_add(n));
            api.sim().stand_at(now);
        }
    }

    /// Moves the clock, and does what is due by it.
    pub fn stand_at(&self, now: DateTime<Utc>) {
        for (api, _) in self.gateways.values() {
            api.sim().stand_at(now);
            api.due();
        }
    }

    fn api(&self, gateway: &str) -> &Arc<dyn ControlApi> {
        &self.gateways[gateway].0
    }

    /// Answers a request: status, headers, body.
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

    /// What the gateway answers that refuses or fails so.
    pub async fn refusal(
        &self,
        gateway: &str,
        status: StatusCode,
    ) -> (StatusCode, HeaderMap, Vec<u8>) {
        let (parts, body) = self.api(gateway).refusal(status).into_parts();
        let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
        (parts.status, parts.headers, body.to_vec())
    }

    /// All that exists there.
    pub fn charges(&self, gateway: &str) -> Vec<Held> {
        self.api(gateway).charges()
    }

    /// What a person, or time, does to a charge. The error says why not.
    pub fn act(&self, gateway: &str, charge: &str, action: Action) -> Result<(), String> {
        self.api(gateway).act(charge, action, true)
    }

    /// Takes what is to be told, by number.
    pub fn left(&self, gateway: &str) -> Vec<usize> {
        std::mem::take(&mut *lock(&self.api(gateway).sim().left))
    }

    /// A notification as it goes out now: signed now, for instance.
    pub fn written(&self, gateway: &str, n: usize) -> Option<Outgoing> {
        notify::written(self.api(gateway).sim(), n)
    }
}
