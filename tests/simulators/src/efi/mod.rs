//! Efí's API Pix. `docs/gateways/efi.md`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use axum::{
    Router, middleware,
    routing::{delete, get, post, put},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{
    control::ControlApi,
    sim::{Sim, lock},
    simulator::{Descriptor, Simulator},
};

mod account;
mod amounts;
mod auth;
mod charge;
mod cob;
mod control;
mod control_api;
mod error;
mod infraction;
mod listing;
mod location;
mod notifications;
mod pix;
mod refund;
mod request;
mod settings;
mod webhook;

use settings::Settings;

/// Largest amount that the homologation environment pays automatically, in centavos.
const SMALL: i64 = 1_000;

pub(crate) struct Efi {
    pub sim: Arc<Sim>,
    /// Client that presents no certificate.
    third_party: reqwest::Client,
    state: Mutex<State>,
    settings: Mutex<Settings>,
}

#[derive(Default)]
pub(crate) struct State {
    tokens: HashMap<String, auth::Token>,
    charges: BTreeMap<charge::Key, charge::Charge>,
    locations: BTreeMap<u64, charge::Location>,
    /// Pix by `endToEndId`.
    pix: BTreeMap<String, pix::Pix>,
    /// Sent Pix by `endToEndId`.
    sends: BTreeMap<String, Send>,
    infractions: Vec<infraction::Infraction>,
    /// Webhooks by account and Pix key.
    webhooks: BTreeMap<(String, String), webhook::Webhook>,
    /// Configurations by account.
    configs: BTreeMap<String, Value>,
    /// Balances by account, in centavos.
    balances: HashMap<String, i64>,
    /// Planned changes in the order of their times.
    plans: BTreeMap<(DateTime<Utc>, u64), Planned>,
    made: u64,
}

/// Pix that an account sent.
#[derive(Clone)]
struct Send {
    account: String,
    key: String,
    reported: Value,
}

/// Automatic change at a planned time.
enum Planned {
    /// The payer pays the charge.
    Pay(charge::Key),
    /// The refund with this `endToEndId` and id ends.
    Return(String, String),
}

fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn router(efi: Arc<Efi>) -> Router {
    Router::new()
        .route("/oauth/token", post(auth::token))
        .route("/v2/cob", get(cob::list).post(cob::create_unnamed))
        .route("/v2/cobv", get(cob::list))
        .route(
            "/v2/cob/{txid}",
            put(cob::create).patch(cob::change).get(cob::read),
        )
        .route(
            "/v2/cobv/{txid}",
            put(cob::create).patch(cob::change).get(cob::read),
        )
        .route("/v2/loc", get(location::list).post(location::create))
        .route("/v2/loc/{id}", get(location::read))
        .route("/v2/loc/{id}/qrcode", get(location::picture))
        .route("/v2/loc/{id}/txid", delete(location::unlink))
        .route("/v2/pix", get(pix::list))
        .route("/v2/pix/{e2eid}", get(pix::read))
        .route(
            "/v2/pix/{e2eid}/devolucao/{id}",
            put(refund::create).get(refund::read),
        )
        .route("/v2/webhook", get(webhook::list))
        .route(
            "/v2/webhook/{key}",
            put(webhook::register)
                .get(webhook::read)
                .delete(webhook::remove),
        )
        .route("/v2/gn/webhook/reenviar", post(webhook::resend))
        .route("/v2/gn/saldo", get(account::balance))
        .route(
            "/v2/gn/config",
            get(account::config).put(account::configure),
        )
        .route("/v2/gn/infracoes", get(infraction::list))
        .route("/v2/gn/infracoes/{id}/defesa", post(infraction::defend))
        .layer(middleware::from_fn_with_state(efi.clone(), error::dress))
        .with_state(efi)
}

impl State {
    /// Returns the next unused number.
    fn next(&mut self) -> u64 {
        self.made += 1;
        self.made
    }
}

/// Returns credentials that Efí's two APIs accept.
pub(crate) fn credentials(account: &str, client_pem: &str) -> Value {
    json!({
        "client_id": format!("Client_Id_{account}"),
        "client_secret": format!("Client_Secret_{account}"),
        "certificate": client_pem,
        "pix_key": "71cdf9ba-c695-4e3c-b010-abb521a3f1be",
    })
}

impl Simulator for Efi {
    fn router(self: Arc<Self>) -> Router {
        router(self)
    }

    fn control(self: Arc<Self>) -> Router {
        control::control(self)
    }
}

impl Efi {
    pub(crate) const DESCRIPTOR: Descriptor = Descriptor {
        gateway: "efi",
        api: "efi_pix",
        name: "efi",
        demands_certificate: true,
        credentials,
        open: |sim, certificates| Ok(Arc::new(Self::new(sim, certificates.client()?))),
    };

    /// Creates the simulator. `client` presents Efí's certificate and sends the notifications.
    fn new(mut sim: Sim, client: reqwest::Client) -> Self {
        let third_party = std::mem::replace(&mut sim.http, client);
        Self {
            sim: Arc::new(sim),
            third_party,
            state: Mutex::default(),
            settings: Mutex::default(),
        }
    }

    /// Plans a change after a delay.
    fn plan(self: &Arc<Self>, state: &mut State, after_ms: u64, planned: Planned) {
        let wait = TimeDelta::milliseconds(i64::try_from(after_ms).unwrap_or(0));
        let at = (self.sim.now() + wait, state.next());
        state.plans.insert(at, planned);
        let efi = self.clone();
        self.sim.later(after_ms, async move { efi.due() });
    }

    /// Plans the automatic payment of a charge, if the settings require it.
    fn expect_payment(self: &Arc<Self>, state: &mut State, charge: &charge::Charge) {
        let settings = self.sim.settings();
        let small = settings
            .auto_pay_small_ms
            .filter(|_| charge.amount <= SMALL);
        if let Some(after_ms) = settings.auto_pay_ms.or(small) {
            self.plan(state, after_ms, Planned::Pay(charge.map_key()));
        }
    }

    /// Applies the planned changes that are due, in order.
    fn do_planned(&self) {
        let now = self.sim.now();
        let mut reported = Vec::new();
        let settings = lock(&self.settings).clone();
        let mut state = lock(&self.state);
        while let Some(entry) = state.plans.first_entry() {
            let at = entry.key().0;
            if at > now {
                break;
            }
            match entry.remove() {
                Planned::Pay(key) => {
                    let pix = self.receive(&mut state, &key, None);
                    reported.extend(pix.map(|pix| (pix, "pix")));
                }
                Planned::Return(e2eid, id) => {
                    let end = (settings.refund_end, settings.opening_balance, at);
                    let pix = refund::settle(&mut state, (&e2eid, &id), end);
                    let pix = pix.filter(|_| settings.refund_notifies);
                    reported.extend(pix.map(|pix| (pix, "devolucao")));
                }
            }
        }
        drop(state);
        for (pix, event) in reported {
            self.notify(&[pix], event);
        }
    }
}
