//! Implementation of the control API for Efí's API Pix.

use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use chrono::{Days, TimeDelta};
use serde_json::Value;

use super::{
    Efi, State,
    charge::{Charge, Key, PAID, REMOVED_BY_BANK, Terms, day},
    error::{ApiError, shaped},
    infraction,
    pix::{Pix, settlement_id},
    refund::{Return, Status},
    settings::RefundEnd,
};
use crate::{
    control::{Action, ControlApi, Held},
    sim::{Sim, lock},
};

impl Efi {
    /// Pays a charge and returns the Pix, which the caller notifies. The control API may pay after expiry or removal, as a payment that was
    /// under way would settle.
    pub(crate) fn receive(&self, state: &mut State, key: &Key, amount: Option<i64>) -> Option<Pix> {
        let now = self.sim.now();
        let id = settlement_id(self, 'E');
        let charge = state.charges.get_mut(key)?;
        let (amount_due, parts) = charge.amount_due(now);
        let payer = charge.sent.get("devedor");
        let payer = ["cpf", "cnpj"].into_iter().find_map(|kind| {
            let document = payer?.get(kind)?.as_str()?;
            Some((kind, document.to_owned()))
        });
        let pix = Pix {
            account: charge.account.clone(),
            end_to_end_id: id.clone(),
            txid: Some(charge.txid.clone()),
            key: charge.key.clone(),
            amount: amount.unwrap_or(amount_due),
            parts: parts.filter(|_| amount.is_none_or(|amount| amount == amount_due)),
            at: now,
            payer,
            returns: Vec::new(),
        };
        charge.received.push(id.clone());
        charge.status = PAID;
        self.credit(state, &pix.account, pix.amount);
        state.pix.insert(id, pix.clone());
        Some(pix)
    }

    pub(crate) fn credit(&self, state: &mut State, account: &str, amount: i64) {
        let opening = lock(&self.settings).opening_balance;
        *state.balances.entry(account.to_owned()).or_insert(opening) += amount;
    }

    /// Refunds a Pix in the merchant's dashboard. The refund is done at once.
    fn give_back(
        &self,
        state: &mut State,
        e2eid: &str,
        amount: Option<i64>,
    ) -> Result<Pix, String> {
        let pix = state.pix.get_mut(e2eid).ok_or("it is not paid")?;
        let left = pix.amount - pix.returned();
        let amount = amount.unwrap_or(left);
        if amount <= 0 || amount > left {
            return Err("more than is left of it".to_owned());
        }
        let mut one = Return::new(self, self.sim.random(32), (amount, "ORIGINAL"));
        let balance = state.balances.entry(pix.account.clone()).or_default();
        one.settle(balance, RefundEnd::Devolvido, self.sim.now());
        pix.returns.push(one);
        Ok(pix.clone())
    }

    fn do_to(
        &self,
        state: &mut State,
        key: &Key,
        action: Action,
    ) -> Result<Option<(Pix, &'static str)>, String> {
        let now = self.sim.now();
        let charge = state
            .charges
            .get_mut(key)
            .ok_or("there is no such charge")?;
        let paid_by = charge.received.clone();
        let last = paid_by.last().map_or("", String::as_str);
        match action {
            Action::Pay(amount) => {
                return Ok(self.receive(state, key, amount).map(|pix| (pix, "pix")));
            }
            // an expired charge remains ATIVA, because no status exists for it, and no notification is sent
            Action::Expire => match &mut charge.terms {
                Terms::Immediate { expires_in } => {
                    *expires_in = (now - charge.created_at).num_seconds().max(0);
                }
                Terms::Due(due) => due.date = day(now) - Days::new(due.valid_days + 1),
            },
            Action::Overdue => match &mut charge.terms {
                Terms::Immediate { .. } => {
                    return Err("an immediate charge has no due date".to_owned());
                }
                Terms::Due(due) => due.date = due.date.min(day(now - TimeDelta::days(1))),
            },
            Action::Cancel => charge.status = REMOVED_BY_BANK,
            Action::Fail => return Err("a Pix cannot be declined".to_owned()),
            Action::Refund(amount) => {
                return Ok(Some((self.give_back(state, last, amount)?, "devolucao")));
            }
            Action::Dispute(amount) => infraction::open(self, state, (last, amount))?,
            Action::CloseDispute { won } => {
                let back = infraction::close(self, state, (&paid_by, won))?;
                return Ok(back.map(|pix| (pix, "devolucao")));
            }
        }
        Ok(None)
    }
}

impl State {
    /// Returns the key of the charge with this `txid`, of any account.
    pub(crate) fn key(&self, txid: &str) -> Option<Key> {
        let from = (txid.to_owned(), String::new());
        let (key, _) = self.charges.range(from..).next()?;
        (key.0 == txid).then(|| key.clone())
    }

    fn held(&self, charge: &Charge, payable: bool) -> Held {
        let received: Vec<&Pix> = charge
            .received
            .iter()
            .filter_map(|id| self.pix.get(id))
            .collect();
        let returns = received.iter().flat_map(|pix| &pix.returns);
        let own =
            returns.filter(|one| one.nature != "MED_FRAUDE" && one.status == Status::Returned);
        let mut infractions = self.infractions.iter();
        Held {
            id: charge.txid.clone(),
            reference: charge.txid.clone(),
            description: charge
                .sent
                .get("solicitacaoPagador")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            method: "pix",
            status: charge.status.to_owned(),
            amount: charge.amount,
            payable,
            paid: !received.is_empty(),
            refunded: own.map(|one| one.amount).sum(),
            disputed: infractions.any(|one| {
                one.is_against_merchant() && charge.received.contains(&one.end_to_end_id)
            }),
            created_at: charge.created_at,
            service_us: charge.service_us,
            account: charge.account.clone(),
        }
    }
}

impl ControlApi for Efi {
    fn sim(&self) -> &std::sync::Arc<Sim> {
        &self.sim
    }

    fn charges(&self) -> Vec<Held> {
        let now = self.sim.now();
        let state = lock(&self.state);
        let all = state.charges.values();
        all.map(|charge| state.held(charge, charge.is_payable(now)))
            .collect()
    }

    fn act(&self, charge: &str, action: Action, notify: bool) -> Result<(), String> {
        let mut state = lock(&self.state);
        let key = state.key(charge).ok_or("there is no such charge")?;
        let reported = self.do_to(&mut state, &key, action)?;
        drop(state);
        if let Some((pix, event)) = reported.filter(|_| notify) {
            self.notify(&[pix], event);
        }
        Ok(())
    }

    fn served(&self, reference: &str, us: u64) {
        let mut state = lock(&self.state);
        if let Some(charge) = state
            .key(reference)
            .and_then(|key| state.charges.get_mut(&key))
        {
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
        let name = match status.as_u16() {
            401 => ("nao_autorizado", "AcessoNegado"),
            403 => ("AcessoNegado", "AcessoNegado"),
            400 => ("valor_invalido", "RequisicaoInvalida"),
            500 => ("erro_aplicacao", "ErroInternoDoServidor"),
            _ => ("erro_aplicacao", "ServicoIndisponivel"),
        };
        shaped(
            self,
            &ApiError::new(status, name, "Falha injetada no simulador"),
        )
    }

    fn reset(&self) {
        *lock(&self.state) = State::default();
        *lock(&self.settings) = super::Settings::default();
    }

    fn forget(&self) {
        let mut state = lock(&self.state);
        let webhooks = std::mem::take(&mut state.webhooks);
        *state = State {
            webhooks,
            ..State::default()
        };
    }
}
