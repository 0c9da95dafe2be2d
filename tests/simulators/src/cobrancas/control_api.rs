//! Implementation of the control API for API Cobranças.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    http::{Response, StatusCode},
    response::IntoResponse,
};
use chrono::{DateTime, Days, Utc};
use serde_json::{Value, json};

use super::{
    Cobrancas, Settings, State,
    charge::{Charge, Paid, Way, day},
};
use crate::{
    control::{Action, ControlApi, Held},
    sim::{Sim, lock},
};

impl Charge {
    /// Pays the charge. The control API may pay after the due date or after a cancellation, as a payment that was under way would settle.
    pub(super) fn pay(&mut self, amount: Option<i64>, now: DateTime<Utc>) -> Result<(), String> {
        let method = match (&self.way, self.status) {
            (_, "paid" | "refunded" | "contested" | "settled") => {
                return Err("it is paid already".to_owned());
            }
            (Way::None, _) => return Err("there is no way to pay it yet".to_owned()),
            (Way::Link(_), "unpaid") => return Err("the link is used up".to_owned()),
            (Way::Link(link), _) if link.method != "banking_billet" => "credit_card",
            _ => "banking_billet",
        };
        let amount = amount.unwrap_or_else(|| self.amount_due(now));
        if method == "banking_billet" {
            if self.status == "link" {
                self.become_status("waiting", now);
            }
            self.become_status("identified", now);
        }
        self.paid = Some(Paid {
            at: now,
            amount,
            method,
        });
        self.become_status("paid", now);
        Ok(())
    }

    /// Applies the end of the due date.
    pub(super) fn pass(&mut self, now: DateTime<Utc>) {
        match (&self.way, self.status) {
            (Way::Billet(_), "waiting") => self.become_status("unpaid", now),
            (Way::Link(_), "link") => self.become_status("expired", now),
            _ => {}
        }
    }

    /// Moves the due date into the past. If `to_the_end`, a boleto's last payable day passes too.
    fn overdue(&mut self, to_the_end: bool, now: DateTime<Utc>) -> Result<(), String> {
        let yesterday = day(now) - Days::new(1);
        match &mut self.way {
            Way::Billet(billet) => {
                let more = if to_the_end {
                    // the days may include a weekend
                    billet.terms.days_to_write_off + 3
                } else {
                    3
                };
                billet.due = billet.due.min(day(now) - Days::new(more));
                if !to_the_end {
                    billet.terms.days_to_write_off = billet.terms.days_to_write_off.max(3);
                }
            }
            Way::Link(link) if to_the_end => link.due = link.due.min(yesterday),
            _ => return Err("only a boleto stays payable after its day".to_owned()),
        }
        self.pass(now);
        Ok(())
    }

    fn act(&mut self, action: Action, now: DateTime<Utc>) -> Result<(), String> {
        let card = self.method() == Some("credit_card");
        match action {
            Action::Pay(amount) => self.pay(amount, now)?,
            Action::Expire => self.overdue(true, now)?,
            Action::Overdue => self.overdue(false, now)?,
            Action::Cancel => self.become_status("canceled", now),
            // the declined attempt consumes the link
            Action::Fail if self.status == "link" => self.become_status("unpaid", now),
            Action::Fail => {
                return Err("only a card of a link that waits can be declined".to_owned());
            }
            Action::Refund(amount) => self.give_back(amount, now)?,
            Action::Dispute(_) if card && self.status == "paid" => {
                self.become_status("contested", now);
            }
            Action::Dispute(_) => return Err("only a paid card can be contested".to_owned()),
            Action::CloseDispute { .. } if self.status != "contested" => {
                return Err("there is no open dispute".to_owned());
            }
            Action::CloseDispute { won: true } => self.become_status("paid", now),
            // `contested` is a final status
            Action::CloseDispute { won: false } => {}
        }
        Ok(())
    }

    fn held(&self, now: DateTime<Utc>) -> Held {
        let items = &self.order.items;
        Held {
            id: self.id.to_string(),
            reference: self.order.custom_id.clone().unwrap_or_default(),
            description: items[0]["name"].as_str().unwrap_or_default().to_owned(),
            method: match self.method() {
                Some("credit_card" | "all") => "card",
                _ => "boleto",
            },
            status: self.status.to_owned(),
            amount: self.order.total,
            payable: self.is_payable(now),
            paid: self.paid.is_some() || self.status == "settled",
            refunded: self.refunded,
            disputed: self.status == "contested",
            created_at: self.created_at,
            service_us: self.service_us,
            account: self.account.clone(),
        }
    }
}

impl State {
    /// Returns the charge with this id, or the newest with this `custom_id`.
    fn of(&mut self, charge: &str) -> Option<&mut Charge> {
        let id = charge
            .parse()
            .ok()
            .filter(|id| self.charges.contains_key(id));
        if let Some(id) = id {
            return self.charges.get_mut(&id);
        }
        let mut newest = self.charges.values_mut().rev();
        newest.find(|one| one.order.custom_id.as_deref() == Some(charge))
    }
}

impl ControlApi for Cobrancas {
    fn sim(&self) -> &Arc<Sim> {
        &self.sim
    }

    fn charges(&self) -> Vec<Held> {
        let now = self.sim.now();
        let state = lock(&self.state);
        state
            .charges
            .values()
            .map(|charge| charge.held(now))
            .collect()
    }

    fn act(&self, charge: &str, action: Action, notify: bool) -> Result<(), String> {
        let mut state = lock(&self.state);
        let charge = state.of(charge).ok_or("there is no such charge")?;
        let before = charge.changes.len();
        charge.act(action, self.sim.now())?;
        if notify && charge.changes.len() > before {
            self.notify(charge);
        }
        Ok(())
    }

    fn copy(&self, charge: &str, count: u64) -> Result<(), String> {
        let mut state = lock(&self.state);
        let original = state.of(charge).ok_or("there is no such charge")?.clone();
        for _ in 0..count {
            let mut copy = original.clone();
            copy.id = state.next();
            copy.order.custom_id = Some(format!("copy-{}", copy.id));
            copy.token = self.sim.random(32);
            copy.created_at = self.sim.now();
            state.charges.insert(copy.id, copy);
        }
        Ok(())
    }

    fn served(&self, reference: &str, us: u64) {
        if let Some(charge) = lock(&self.state).of(reference) {
            charge.service_us += us;
        }
    }

    fn due(&self) {
        self.do_planned();
    }

    fn own_settings(&self) -> Value {
        serde_json::to_value(&*lock(&self.settings)).unwrap_or_default()
    }

    fn set_own(&self, settings: Value) -> Result<(), String> {
        let settings = serde_json::from_value(settings).map_err(|error| error.to_string())?;
        *lock(&self.settings) = settings;
        Ok(())
    }

    fn refusal(&self, status: StatusCode) -> Response<Body> {
        let code = u32::from(status.as_u16());
        let error = json!({ "code": code, "error": "server_error", "error_description": "Falha injetada no simulador" });
        (status, Json(error)).into_response()
    }

    fn reset(&self) {
        *lock(&self.state) = State::default();
        *lock(&self.settings) = Settings::default();
        self.shorten_tokens();
    }

    fn forget(&self) {
        *lock(&self.state) = State::default();
    }
}
