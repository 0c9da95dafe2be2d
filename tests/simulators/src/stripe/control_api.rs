//! Implementation of the control API for Stripe.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode},
};
use serde_json::{Map, json};

use super::{
    Stripe, call::Cause, charge::Charge, errors::ApiError, intent::Intent, refund::Wish,
    session::Session, state::State, transaction::Transaction,
};
use crate::{
    control::{Action, ControlApi, Held},
    sim::{Sim, lock},
};

/// Object that the control API's id or reference selects.
enum Target {
    Intent(String),
    Session(String),
}

impl Stripe {
    /// Pays the intent automatically after a delay, if the settings require it.
    pub(super) fn expect_payment(self: &Arc<Self>, id: &str) {
        if let Some(after_ms) = self.sim.settings().auto_pay_ms {
            let (stripe, id) = (self.clone(), id.to_owned());
            self.sim.later(after_ms, async move {
                let _ = stripe.act(&id, Action::Pay(None), true);
            });
        }
    }
}

impl State {
    /// Finds an object by the id of an intent, a session or a charge, or by a reference. A payable object comes first, otherwise the
    /// newest.
    fn target(&self, name: &str) -> Option<Target> {
        let direct = |id: &str| {
            if let Some(session) = self.sessions.any(id) {
                return Some(Target::Session(session.id.clone()));
            }
            let intent = self.intents.any(id)?;
            Some(match &intent.session {
                Some(session) => Target::Session(session.clone()),
                None => Target::Intent(intent.id.clone()),
            })
        };
        if let Some(charge) = self.charges.any(name) {
            return direct(&charge.intent);
        }
        direct(name).or_else(|| {
            let ids = self.references.get(name)?;
            let payable = |id: &&String| {
                self.intents
                    .any(id)
                    .is_some_and(|intent| intent.status == "requires_action")
                    || self
                        .sessions
                        .any(id)
                        .is_some_and(|session| session.status == "open")
            };
            direct(ids.iter().find(payable).or(ids.last())?)
        })
    }

    fn intent_held(&self, intent: &Intent) -> Held {
        let charge = intent
            .latest_charge
            .as_ref()
            .and_then(|id| self.charges.any(id));
        Held {
            id: intent.id.clone(),
            reference: intent.reference().to_owned(),
            description: intent.description.clone().unwrap_or_default(),
            method: match intent.types.first().map(String::as_str) {
                Some("boleto") => "boleto",
                Some("pix") => "pix",
                _ => "card",
            },
            status: intent.status.to_owned(),
            amount: intent.amount,
            payable: intent.status == "requires_action",
            paid: intent.status == "succeeded",
            refunded: charge.map_or(0, |charge| charge.refunded),
            disputed: charge.is_some_and(|charge| self.is_disputed(charge)),
            created_at: intent.created_at,
            service_us: intent.service_us,
            account: intent.account.id.clone(),
        }
    }

    fn session_held(&self, session: &Session) -> Held {
        let intent = session.intent.as_ref().and_then(|id| self.intents.any(id));
        let charge = intent.and_then(|intent| self.charges.any(intent.latest_charge.as_ref()?));
        Held {
            id: session.id.clone(),
            reference: session.reference().to_owned(),
            description: session.description().to_owned(),
            method: "card",
            status: session.status.to_owned(),
            amount: session.amount,
            payable: session.status == "open",
            paid: session.status == "complete",
            refunded: charge.map_or(0, |charge| charge.refunded),
            disputed: charge.is_some_and(|charge| self.is_disputed(charge)),
            created_at: session.created_at,
            service_us: session.service_us,
            account: session.account.id.clone(),
        }
    }

    /// Returns true if the charge has an open or a lost dispute.
    fn is_disputed(&self, charge: &Charge) -> bool {
        let dispute = charge.dispute.as_ref().and_then(|id| self.disputes.any(id));
        dispute.is_some_and(|dispute| dispute.status != "won")
    }
}

impl Transaction<'_> {
    fn act_on_intent(&mut self, id: &str, action: Action) -> Result<(), String> {
        let intent = self
            .state
            .intents
            .any(id)
            .ok_or("there is no such charge")?;
        let status = intent.status;
        match action {
            Action::Pay(_) if ["succeeded", "processing"].contains(&status) => {
                return Err("it is paid already".to_owned());
            }
            Action::Pay(amount) => self.pay_intent(id, amount),
            Action::Expire | Action::Fail if status != "requires_action" => {
                return Err(format!("it is {status}"));
            }
            Action::Expire => self.expire_intent(id, true),
            Action::Fail => {
                let message = "The payment attempt failed.";
                let code = "payment_intent_payment_attempt_failed";
                self.fail_intent(
                    id,
                    json!({ "type": "invalid_request_error", "code": code, "message": message }),
                );
            }
            Action::Cancel if !status.starts_with("requires_") => {
                return Err(format!("it is {status}"));
            }
            Action::Cancel => self.cancel_intent(id, None),
            other => return self.act_on_money(intent.latest_charge.clone(), other),
        }
        Ok(())
    }

    fn act_on_session(&mut self, id: &str, action: Action) -> Result<(), String> {
        let session = self
            .state
            .sessions
            .any(id)
            .ok_or("there is no such charge")?;
        let status = session.status;
        match action {
            Action::Pay(_) if status == "complete" => return Err("it is paid already".to_owned()),
            Action::Pay(amount) => self.pay_session(id, amount),
            Action::Expire | Action::Cancel | Action::Fail if status != "open" => {
                return Err(format!("it is {status}"));
            }
            Action::Expire | Action::Cancel => self.expire_session(id),
            Action::Fail => self.decline_session(id),
            other => {
                let intent = session
                    .intent
                    .as_ref()
                    .and_then(|id| self.state.intents.any(id));
                let charge = intent.and_then(|intent| intent.latest_charge.clone());
                return self.act_on_money(charge, other);
            }
        }
        Ok(())
    }

    fn act_on_money(&mut self, charge: Option<String>, action: Action) -> Result<(), String> {
        let paid = |id: &String| {
            let charge = self.state.charges.any(id);
            charge.is_some_and(|charge| charge.declined.is_none())
        };
        let charge = charge.filter(paid).ok_or("it is not paid")?;
        match action {
            Action::Refund(amount) => {
                let wish = Wish {
                    amount,
                    reason: None,
                    metadata: Map::new(),
                };
                let made = self.refund(&charge, wish);
                made.map(|_| ()).map_err(|wrong| wrong.message().to_owned())
            }
            Action::Dispute(amount) => self.open_dispute(&charge, amount),
            Action::CloseDispute { won } => self.close_dispute(&charge, won),
            other => Err(format!("Stripe does not know {other:?}")),
        }
    }
}

impl ControlApi for Stripe {
    fn sim(&self) -> &Arc<Sim> {
        &self.sim
    }

    fn charges(&self) -> Vec<Held> {
        let tx = self.begin(Cause::default());
        let state = &tx.state;
        let alone = state
            .intents
            .newest()
            .filter(|intent| intent.session.is_none());
        let intents = alone.map(|intent| state.intent_held(intent));
        let sessions = state
            .sessions
            .newest()
            .map(|session| state.session_held(session));
        intents.chain(sessions).collect()
    }

    fn act(&self, charge: &str, action: Action, notify: bool) -> Result<(), String> {
        let mut tx = self.begin(Cause::default());
        tx.silent = !notify;
        match tx.state.target(charge).ok_or("there is no such charge")? {
            Target::Intent(id) => tx.act_on_intent(&id, action),
            Target::Session(id) => tx.act_on_session(&id, action),
        }
    }

    fn copy(&self, charge: &str, count: u64) -> Result<(), String> {
        let mut tx = self.begin(Cause::default());
        tx.silent = true;
        let Some(Target::Intent(id)) = tx.state.target(charge) else {
            return Err("there is no such intent".to_owned());
        };
        let original = tx.state.intents.any(&id);
        let account = original.ok_or("there is no such intent")?.account.clone();
        for _ in 0..count {
            // a copy represents an intent of a hosted page that the merchant created directly
            let object = json!({
                "id": tx.id("pi"), "object": "payment_intent", "amount": 100, "amount_received": 0, "currency": "brl",
                "created": tx.now.timestamp(), "status": "requires_payment_method", "payment_method_types": ["card"],
                "metadata": {}, "latest_charge": null,
            });
            tx.notify(
                "payment_intent.created",
                &account,
                &json!({ "object": object }),
            );
        }
        Ok(())
    }

    fn served(&self, reference: &str, us: u64) {
        let mut state = lock(&self.state);
        match state.target(reference) {
            Some(Target::Intent(id)) => {
                if let Some(intent) = state.intents.any_mut(&id) {
                    intent.service_us += us;
                }
            }
            Some(Target::Session(id)) => {
                if let Some(session) = state.sessions.any_mut(&id) {
                    session.service_us += us;
                }
            }
            None => {}
        }
    }

    fn refusal(&self, status: StatusCode) -> Response<Body> {
        const ID: usize = 14;
        let kind = match status.as_u16() {
            402 => "card_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        };
        let wrong = ApiError::new(status, kind, "The request could not be completed.");
        let wrong = match status.as_u16() {
            400 | 404 => wrong.code("injected"),
            402 => wrong.code("card_declined"),
            409 => wrong.code("lock_timeout"),
            429 => wrong.code("rate_limit"),
            _ => wrong,
        };
        let mut response = wrong.answer(None);
        let id = format!("req_{}", self.sim.random(ID));
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert("request-id", id);
        }
        response
    }

    fn reset(&self) {
        *lock(&self.state) = State::default();
    }

    fn forget(&self) {
        let mut state = lock(&self.state);
        let endpoints = std::mem::take(&mut state.endpoints);
        *state = State {
            endpoints,
            ..State::default()
        };
    }
}
