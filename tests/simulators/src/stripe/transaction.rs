//! Transaction on the simulator: the locked state, a fixed time, and the cause of its changes.

use std::sync::{Arc, MutexGuard};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    Stripe, VERSION,
    account::Account,
    call::Cause,
    event::Event,
    state::{Due, State},
};
use crate::{
    notify::{self, NotificationPlan, Proof},
    sim::{Sim, lock},
};

/// Seconds between tries in live mode: up to three days, with growing delays.
const LIVE_SCHEDULE_S: [u64; 8] = [5, 30, 300, 1_800, 7_200, 28_800, 86_400, 86_400];
/// Seconds between tries in test mode: three times in a few hours.
const TEST_SCHEDULE_S: [u64; 3] = [5, 600, 7_200];
/// Number of events that are stored.
const EVENTS: usize = 20_000;

pub(super) struct Transaction<'a> {
    pub sim: &'a Arc<Sim>,
    pub state: MutexGuard<'a, State>,
    pub now: DateTime<Utc>,
    pub cause: Cause,
    /// True if events are stored but not sent.
    pub silent: bool,
}

impl Stripe {
    /// Locks the state and applies due changes before the transaction begins.
    pub(super) fn begin(&self, cause: Cause) -> Transaction<'_> {
        let mut tx = Transaction {
            sim: &self.sim,
            state: lock(&self.state),
            now: self.sim.now(),
            cause: Cause::default(),
            silent: false,
        };
        tx.catch_up();
        tx.cause = cause;
        tx
    }
}

impl Transaction<'_> {
    pub(super) fn id(&self, prefix: &str) -> String {
        const LENGTH: usize = 24;
        format!("{prefix}_{}", self.sim.random(LENGTH))
    }

    /// Plans a change after a delay.
    pub(super) fn after(&mut self, seconds: i64, due: Due) {
        self.at(self.now + TimeDelta::seconds(seconds), due);
    }

    pub(super) fn at(&mut self, when: DateTime<Utc>, due: Due) {
        self.state.numbered += 1;
        let place = (when, self.state.numbered);
        self.state.agenda.insert(place, due);
    }

    /// Applies the due changes, each at its own time.
    fn catch_up(&mut self) {
        let now = self.now;
        while let Some(entry) = self.state.agenda.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let ((when, _), due) = entry.remove_entry();
            self.now = when;
            self.happen(due);
        }
        self.now = now;
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Expire(intent) => self.expire_intent(&intent, false),
            Due::ExpireNow(intent) => self.expire_intent(&intent, true),
            Due::Pay(intent) => {
                let found = self.state.intents.any(&intent);
                if found.is_some_and(|intent| intent.status == "requires_action") {
                    self.pay_intent(&intent, None);
                }
            }
            Due::Clear(intent) => self.clear_intent(&intent),
            Due::SettleRefund(refund) => self.settle_refund(&refund),
            Due::FailRefund(refund) => {
                self.fail_refund(&refund);
            }
            Due::LoseDispute(dispute) => self.end_dispute(&dispute, false),
            Due::ExpireSession(session) => self.expire_session(&session),
        }
    }

    /// Creates an event and sends it to every endpoint that subscribes to it.
    pub(super) fn notify(&mut self, kind: &str, account: &Account, data: &Value) {
        let listening: Vec<_> = self
            .state
            .endpoints
            .of(account)
            .filter(|endpoint| endpoint.receives(kind))
            .cloned()
            .collect();
        let event = json!({
            "id": self.id("evt"), "object": "event", "api_version": VERSION, "created": self.now.timestamp(), "data": data,
            "livemode": account.live, "pending_webhooks": listening.len(),
            "request": { "id": self.cause.request, "idempotency_key": self.cause.key }, "type": kind,
        });
        for endpoint in listening.iter().filter(|_| !self.silent) {
            let mut body = event.clone();
            if let Some(version) = &endpoint.api_version {
                body["api_version"] = version.clone().into();
            }
            let plan = NotificationPlan {
                url: endpoint.url.clone(),
                event: kind.to_owned(),
                body: body.to_string(),
                proof: Proof::Stripe(endpoint.secret.clone()),
                schedule_s: if account.live {
                    &LIVE_SCHEDULE_S
                } else {
                    &TEST_SCHEDULE_S
                },
                exactly_200: false,
                order: None,
            };
            notify::notify(self.sim, plan);
        }
        self.state
            .events
            .put(Event::new(account.clone(), self.now, &event));
        self.state.events.trim(EVENTS);
    }
}
