//! Implementation of the control API for Asaas.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{Response, StatusCode},
    response::IntoResponse,
};
use serde_json::{Value, json};

use super::{
    Asaas, Payment, answer::Refusal, behavior::Behavior, checkout::Checkout, payment::Billing,
};
use crate::{
    control::{Action, ControlApi, Held},
    sim::{Sim, lock},
};

/// Object that the control API's id or reference selects.
enum Target {
    Payment(String),
    Checkout(String),
    Link(String),
}

fn held(payment: &Payment) -> Held {
    let status = if payment.deleted {
        "DELETED"
    } else {
        payment.status
    };
    Held {
        id: payment.id.clone(),
        reference: payment.reference.clone().unwrap_or_default(),
        description: payment.description.clone().unwrap_or_default(),
        method: payment.billing.method(),
        status: status.to_owned(),
        amount: payment.amount,
        payable: payment.is_payable(),
        paid: payment.paid_at.is_some(),
        refunded: payment.refunded(),
        disputed: payment.dispute.is_some(),
        created_at: payment.created_at,
        service_us: payment.service_us,
        account: payment.account.clone(),
    }
}

/// Returns an unpaid checkout as a charge. A paid checkout is represented by its payment.
fn held_checkout(checkout: &Checkout) -> Option<Held> {
    (checkout.status != "PAID").then(|| Held {
        id: checkout.id.clone(),
        reference: checkout.reference.clone().unwrap_or_default(),
        description: checkout.description().unwrap_or_default(),
        method: checkout.billing.method(),
        status: checkout.status.to_owned(),
        amount: checkout.amount,
        payable: checkout.status == "ACTIVE",
        paid: false,
        refunded: 0,
        disputed: false,
        created_at: checkout.created_at,
        service_us: 0,
        account: checkout.account.clone(),
    })
}

impl ControlApi for Asaas {
    fn sim(&self) -> &Arc<Sim> {
        &self.sim
    }

    fn charges(&self) -> Vec<Held> {
        let state = lock(&self.state);
        let payments = state.payments.values().map(held);
        payments
            .chain(state.checkouts.values().filter_map(held_checkout))
            .collect()
    }

    fn act(&self, charge: &str, action: Action, notify: bool) -> Result<(), String> {
        match (
            self.target(charge).ok_or("there is no such charge")?,
            action,
        ) {
            (Target::Payment(id), _) => self.act_on_payment(&id, action, notify),
            (Target::Checkout(id), Action::Pay(_)) => self.pay_checkout(&id, notify),
            (Target::Checkout(id), Action::Expire) => self
                .end_checkout(&id, ("EXPIRED", "CHECKOUT_EXPIRED"), notify)
                .map(drop),
            (Target::Checkout(id), Action::Cancel) => self
                .end_checkout(&id, ("CANCELED", "CHECKOUT_CANCELED"), notify)
                .map(drop),
            (Target::Checkout(_), other) => Err(format!("a checkout knows no {other:?}")),
            (Target::Link(id), Action::Pay(amount)) => self.pay_link(&id, amount, notify),
            (Target::Link(_), other) => Err(format!("a payment link knows no {other:?}")),
        }
    }

    fn copy(&self, charge: &str, count: u64) -> Result<(), String> {
        let Some(Target::Payment(id)) = self.target(charge) else {
            return Err("there is no such payment".to_owned());
        };
        let now = self.sim.now();
        let mut state = lock(&self.state);
        let original = state.payments.get(&id).ok_or("there is no such payment")?;
        let original = original.clone();
        for _ in 0..count {
            // a copy represents a payment of another system of the merchant
            let mut copy = original.clone();
            copy.id = format!("pay_{}", self.sim.random(16));
            copy.asked.reference = None;
            copy.status = "RECEIVED";
            (copy.created_at, copy.paid_at, copy.received_at) = (now, Some(now), Some(now));
            state.add(copy);
        }
        Ok(())
    }

    fn served(&self, reference: &str, us: u64) {
        let mut state = lock(&self.state);
        let id = state
            .by_reference
            .get(reference)
            .and_then(|ids| ids.first());
        let id = id.cloned().unwrap_or_default();
        if let Some(payment) = state.payments.get_mut(&id) {
            payment.service_us += us;
        }
    }

    fn due(&self) {
        self.tick();
        self.wake.notify_one();
    }

    fn own_settings(&self) -> Value {
        serde_json::to_value(self.behavior()).unwrap_or_default()
    }

    fn set_own(&self, settings: Value) -> Result<(), String> {
        let behavior = serde_json::from_value(settings);
        *lock(&self.behavior) = behavior.map_err(|error| error.to_string())?;
        Ok(())
    }

    fn refusal(&self, status: StatusCode) -> Response<Body> {
        let wrong = |code, description| Refusal::Error(status, code, description).into_response();
        match status.as_u16() {
            401 => wrong(
                "invalid_access_token",
                "A chave de API fornecida é inválida",
            ),
            404 => Refusal::Absent.into_response(),
            400 | 402 | 405 | 409 | 410 | 413 | 422 => {
                wrong("invalid_value", "Falha injetada no simulador")
            }
            _ => status.into_response(),
        }
    }

    fn reset(&self) {
        *lock(&self.state) = super::State::default();
        *lock(&self.behavior) = Behavior::default();
        self.limits.reset();
    }

    fn forget(&self) {
        let mut state = lock(&self.state);
        let mut webhooks = std::mem::take(&mut state.webhooks);
        for webhook in webhooks.values_mut() {
            webhook.queue.clear();
            webhook.failures = 0;
            webhook.sent.insert("interrupted".to_owned(), false.into());
        }
        *state = super::State {
            webhooks,
            ..super::State::default()
        };
        drop(state);
        self.limits.reset();
    }
}

impl Asaas {
    /// Finds an object by id or reference. Payable payments come first.
    fn target(&self, charge: &str) -> Option<Target> {
        let state = lock(&self.state);
        if state.payments.contains_key(charge) {
            return Some(Target::Payment(charge.to_owned()));
        }
        if state.links.contains_key(charge) {
            return Some(Target::Link(charge.to_owned()));
        }
        let ids = state.by_reference.get(charge);
        let mut payments = ids.into_iter().flatten();
        let open = |id: &&String| state.payments.get(*id).is_some_and(Payment::is_payable);
        if let Some(id) = payments.clone().find(open) {
            return Some(Target::Payment(id.clone()));
        }
        let named = |checkout: &&Checkout| {
            checkout.id == charge || checkout.reference.as_deref() == Some(charge)
        };
        let unpaid = |checkout: &&Checkout| checkout.status != "PAID";
        let mut checkouts = state.checkouts.values().filter(named);
        if let Some(checkout) = checkouts.find(unpaid) {
            return Some(Target::Checkout(checkout.id.clone()));
        }
        // the id of a paid checkout selects its payment
        let through = |payment: &&Payment| payment.checkout.as_deref() == Some(charge);
        payments
            .next()
            .or_else(|| {
                state
                    .payments
                    .values()
                    .find(through)
                    .map(|payment| &payment.id)
            })
            .map(|id| Target::Payment(id.clone()))
    }

    fn act_on_payment(&self, id: &str, action: Action, notify: bool) -> Result<(), String> {
        let done = self.on(id, notify, |payment, moment| match action {
            Action::Pay(amount) => payment.pay(amount, moment),
            Action::Expire | Action::Overdue => payment.overdue(moment),
            Action::Cancel => payment.delete(moment),
            Action::Fail => payment.fail(moment),
            Action::Refund(amount) => payment.refund(amount, moment),
            Action::Dispute(amount) => payment.dispute_by_payer(amount, moment),
            Action::CloseDispute { won } => payment.close_dispute(won, moment),
        })?;
        if matches!(action, Action::Pay(_)) && done.billing == Billing::CreditCard {
            self.pay_the_rest(&done, notify);
        }
        Ok(())
    }

    /// Pays the other installments of a card plan, because a card pays all of them at once.
    fn pay_the_rest(&self, first: &Payment, notify: bool) {
        let Some(plan) = first.installment.as_ref().map(|one| one.plan.clone()) else {
            return;
        };
        let of_plan = |payment: &&Payment| {
            let same = payment
                .installment
                .as_ref()
                .is_some_and(|one| one.plan == plan);
            same && payment.id != first.id && payment.is_payable()
        };
        let state = lock(&self.state);
        let payments = state.payments.values().filter(of_plan);
        let ids: Vec<_> = payments.map(|payment| payment.id.clone()).collect();
        drop(state);
        for id in ids {
            let _ = self.on(&id, notify, |payment, moment| payment.pay(None, moment));
        }
    }
}

/// Handles `POST /_sim/asaas/refunds/{payment}/{done|cancelled}`: ends the oldest open refund.
pub(super) async fn end_refund(
    State(asaas): State<Arc<Asaas>>,
    Path((charge, end)): Path<(String, String)>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let wrong = |why: String| (StatusCode::CONFLICT, why + "\n");
    let Some(Target::Payment(id)) = asaas.target(&charge) else {
        return Err(wrong("there is no such charge".to_owned()));
    };
    let done = match end.as_str() {
        "done" => true,
        "cancelled" => false,
        other => return Err(wrong(format!("a refund does not end {other}"))),
    };
    asaas
        .on(&id, true, |payment, moment| {
            payment.end_refund(done, moment)
        })
        .map_err(wrong)?;
    Ok(Json(json!({})))
}

/// Handles `POST /_sim/asaas/events/{payment}/{event}`: sends any event with the payment's current state.
pub(super) async fn notify_event(
    State(asaas): State<Arc<Asaas>>,
    Path((charge, event)): Path<(String, String)>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let wrong = |why: String| (StatusCode::CONFLICT, why + "\n");
    let Some(Target::Payment(id)) = asaas.target(&charge) else {
        return Err(wrong("there is no such charge".to_owned()));
    };
    asaas
        .on(&id, true, |payment, moment| {
            moment.notify(&event, payment);
            Ok(())
        })
        .map_err(wrong)?;
    Ok(Json(json!({})))
}
