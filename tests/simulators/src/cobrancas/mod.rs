//! Efí's API Cobranças: boletos and payment links. `docs/gateways/efi.md`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    routing::{get, post, put},
};
use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use chrono_tz::America::Sao_Paulo;
use tokio_util::sync::CancellationToken;

use crate::{
    control::ControlApi,
    notify::{self, NotificationPlan, Proof},
    sim::{Sim, lock},
    simulator::{Descriptor, Simulator},
};

mod auth;
mod boleto;
mod change;
mod charge;
mod control_api;
mod create;
mod error;
mod order;
mod read;
mod settings;

use charge::{Charge, day};
use error::ApiError;
use read::envelope as answer;
use settings::Settings;

/// Lifetime of a token of this API in seconds.
const TOKEN_TTL_S: u64 = 600;
/// Delays between posts of a token: every five minutes for a day, or until it is fetched.
const REPEAT_S: [u64; 288] = [300; 288];
/// Id of the first charge.
const FIRST_ID: u64 = 1_234_567;

pub(crate) struct Cobrancas {
    pub sim: Arc<Sim>,
    state: Mutex<State>,
    settings: Mutex<Settings>,
}

#[derive(Default)]
struct State {
    /// Account and expiry of each token.
    tokens: HashMap<String, (String, DateTime<Utc>)>,
    charges: BTreeMap<u64, Charge>,
    /// Planned changes in the order of their times.
    plans: BTreeMap<(DateTime<Utc>, u64), Planned>,
    made: u64,
}

/// Automatic change of the charge with this id.
enum Planned {
    Pay(u64),
    /// The due date passes.
    Pass(u64),
}

fn router(cobrancas: Arc<Cobrancas>) -> Router {
    Router::new()
        .route("/v1/authorize", post(auth::authorize))
        .route("/v1/charge", post(create::first))
        .route("/v1/charge/one-step", post(create::billet))
        .route("/v1/charge/one-step/link", post(create::link))
        .route("/v1/charge/card/{id}/refund", post(change::refund))
        .route("/v1/charge/{id}", get(read::charge))
        .route("/v1/charge/{id}/pay", post(create::pay))
        .route("/v1/charge/{id}/link", post(create::to_link))
        .route("/v1/charge/{id}/cancel", put(change::cancel))
        .route("/v1/charge/{id}/billet", put(change::billet))
        .route("/v1/charge/{id}/metadata", put(change::describe))
        .route("/v1/charge/{id}/settle", put(change::settle))
        .route("/v1/charges", get(read::list))
        .route("/v1/notification/{token}", get(read::notification))
        .with_state(cobrancas)
}

impl State {
    fn next(&mut self) -> u64 {
        self.made += 1;
        FIRST_ID + self.made - 1
    }
}

impl Simulator for Cobrancas {
    fn router(self: Arc<Self>) -> Router {
        router(self)
    }
}

impl Cobrancas {
    pub(crate) const DESCRIPTOR: Descriptor = Descriptor {
        gateway: "efi",
        api: "efi_cobrancas",
        name: "efi_cobrancas",
        demands_certificate: false,
        credentials: crate::efi::credentials,
        open: |sim, _| Ok(Arc::new(Self::new(Arc::new(sim)))),
    };

    fn new(sim: Arc<Sim>) -> Self {
        let cobrancas = Self {
            sim,
            state: Mutex::default(),
            settings: Mutex::default(),
        };
        cobrancas.shorten_tokens();
        cobrancas
    }

    fn shorten_tokens(&self) {
        self.sim
            .adjust(|settings| settings.token_ttl_s = TOKEN_TTL_S);
    }

    /// Changes a charge of the account and sends a notification if its status changed. Returns the changed charge.
    fn change(
        &self,
        (account, id): (&str, &str),
        act: impl FnOnce(&mut Charge, DateTime<Utc>) -> Result<(), ApiError>,
    ) -> Result<Charge, ApiError> {
        let id = self.find(account, id)?.id;
        let mut state = lock(&self.state);
        let charge = state.charges.get_mut(&id);
        let charge = charge.ok_or_else(|| ApiError::state("Cobrança não encontrada"))?;
        let before = charge.changes.len();
        act(charge, self.sim.now())?;
        if charge.changes.len() > before {
            self.notify(charge);
        }
        Ok(charge.clone())
    }

    /// Posts the charge's token until it is fetched.
    fn notify(&self, charge: &mut Charge) {
        charge.received.cancel();
        let Some(url) = charge.order.notification_url.clone() else {
            return;
        };
        charge.received = CancellationToken::new();
        let plan = NotificationPlan {
            url,
            event: charge.status.to_owned(),
            body: format!("notification={}", charge.token),
            proof: Proof::None,
            schedule_s: &REPEAT_S,
            exactly_200: false,
            order: None,
        };
        notify::notify_form(&self.sim, plan, charge.received.clone());
    }

    /// Plans the automatic changes of a charge.
    fn expect(self: &Arc<Self>, state: &mut State, charge: &Charge) {
        let now = self.sim.now();
        if let Some(due) = charge.due() {
            let midnight = (due + Days::new(1)).and_time(NaiveTime::MIN);
            let midnight = midnight.and_local_timezone(Sao_Paulo).earliest();
            let at = midnight.map_or(now, |at| at.with_timezone(&Utc));
            state.made += 1;
            state
                .plans
                .insert((at, state.made), Planned::Pass(charge.id));
        }
        let payable = charge.is_payable(now);
        if let Some(after_ms) = self.sim.settings().auto_pay_ms.filter(|_| payable) {
            let wait = TimeDelta::milliseconds(i64::try_from(after_ms).unwrap_or_default());
            state.made += 1;
            state
                .plans
                .insert((now + wait, state.made), Planned::Pay(charge.id));
            let cobrancas = self.clone();
            self.sim.later(after_ms, async move { cobrancas.due() });
        }
    }

    /// Applies the planned changes that are due, in order.
    fn do_planned(&self) {
        let now = self.sim.now();
        let mut state = lock(&self.state);
        while let Some(entry) = state.plans.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let planned = entry.remove();
            let (Planned::Pay(id) | Planned::Pass(id)) = planned;
            let Some(charge) = state.charges.get_mut(&id) else {
                continue;
            };
            let before = charge.changes.len();
            match planned {
                Planned::Pay(_) if charge.is_payable(now) => {
                    // a payable charge cannot refuse the payment
                    let _ = charge.pay(None, now);
                }
                // the due date may have been moved meanwhile
                Planned::Pass(_) if charge.due().is_some_and(|due| due < day(now)) => {
                    charge.pass(now);
                }
                _ => {}
            }
            if charge.changes.len() > before {
                self.notify(charge);
            }
        }
    }
}
