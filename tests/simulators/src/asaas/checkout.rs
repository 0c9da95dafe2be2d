//! Hosted checkouts. A payment is created when a checkout is paid.

use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{
    Asaas,
    answer::{Answer, Refusal, Sent, about, centavos, day_of, ok, text},
    event::ReportedEvent,
    limits::Account,
    payment::{Asked, Billing},
    terms::Terms,
};
use crate::sim::lock;

const MINUTES: std::ops::RangeInclusive<i64> = 10..=1440;
const DEFAULT_MINUTES: i64 = 60;
const MAX_ITEM_NAME: usize = 30;
const MAX_ITEM_DESCRIPTION: usize = 150;

#[derive(Clone)]
pub(super) struct Checkout {
    pub account: String,
    pub id: String,
    pub status: &'static str,
    pub amount: i64,
    pub billing: Billing,
    pub minutes: i64,
    pub created_at: DateTime<Utc>,
    pub reference: Option<String>,
    /// Id of the customer who paid or whom the merchant named.
    customer: Option<String>,
    sent: Map<String, Value>,
}

impl Checkout {
    /// Returns the checkout as events contain it.
    fn json(&self) -> Value {
        let sent = |name: &str| self.sent.get(name).cloned().unwrap_or_default();
        json!({
            "id": self.id, "link": format!("https://sandbox.asaas.com/checkoutSession/show?id={}", self.id), "status": self.status,
            "minutesToExpire": self.minutes, "billingTypes": sent("billingTypes"), "chargeTypes": sent("chargeTypes"),
            "callback": sent("callback"), "items": sent("items"), "subscription": sent("subscription"),
            "installment": sent("installment"), "split": sent("split"), "customer": self.customer,
        })
    }

    fn answer(&self) -> Value {
        let mut json = self.json();
        json["externalReference"] = self.reference.clone().into();
        json
    }

    pub(super) fn ends_at(&self) -> DateTime<Utc> {
        self.created_at + TimeDelta::minutes(self.minutes)
    }

    pub(super) fn description(&self) -> Option<String> {
        let items = self.sent.get("items").and_then(Value::as_array)?;
        let name = items.first()?.get("name")?.as_str()?;
        Some(name.to_owned())
    }

    fn reported(&self, event: &str) -> Vec<ReportedEvent> {
        vec![ReportedEvent {
            account: self.account.clone(),
            event: event.to_owned(),
            about: "checkout",
            json: self.json(),
        }]
    }
}

/// Handles `POST /v3/checkouts`.
pub(super) async fn create(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Sent(sent): Sent,
) -> Answer {
    let (billing, amount, minutes) = (billing(&sent)?, amount(&sent)?, minutes(&sent)?);
    callback(&sent)?;
    let customer = text(&sent, "customer");
    if customer
        .as_ref()
        .is_some_and(|id| !asaas.knows(&account, id))
    {
        return Err(Refusal::of(
            "invalid_customer",
            "Customer inválido ou não informado.",
        ));
    }
    let checkout = Checkout {
        account,
        id: super::uuid(&asaas.sim),
        status: "ACTIVE",
        amount,
        billing,
        minutes,
        created_at: asaas.sim.now(),
        reference: text(&sent, "externalReference"),
        customer,
        sent,
    };
    let mut state = lock(&asaas.state);
    state
        .agenda
        .insert((checkout.ends_at(), checkout.id.clone()));
    state
        .checkouts
        .insert(checkout.id.clone(), checkout.clone());
    drop(state);
    asaas.notify(checkout.reported("CHECKOUT_CREATED"));
    Ok(about(checkout.reference.as_ref(), checkout.answer()))
}

fn wrong(description: &'static str) -> Refusal {
    Refusal::of("invalid_object", description)
}

fn words<'a>(sent: &'a Map<String, Value>, name: &str) -> Vec<&'a str> {
    let all = sent.get(name).and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn billing(sent: &Map<String, Value>) -> Result<Billing, Refusal> {
    let known = |word: &&str| matches!(*word, "CREDIT_CARD" | "PIX");
    let billing = words(sent, "billingTypes");
    let first = billing.first().and_then(|word| Billing::read(word));
    let first = first.filter(|_| billing.iter().all(known));
    let first = first.ok_or(Refusal::of(
        "invalid_billingType",
        "O campo billingTypes é inválido.",
    ))?;
    let known = |word: &&str| matches!(*word, "DETACHED" | "RECURRENT" | "INSTALLMENT");
    let charge = words(sent, "chargeTypes");
    if charge.is_empty() || !charge.iter().all(known) {
        return Err(wrong("O campo chargeTypes é inválido."));
    }
    Ok(first)
}

fn minutes(sent: &Map<String, Value>) -> Result<i64, Refusal> {
    let Some(minutes) = sent.get("minutesToExpire").filter(|sent| !sent.is_null()) else {
        return Ok(DEFAULT_MINUTES);
    };
    let minutes = minutes.as_i64().filter(|minutes| MINUTES.contains(minutes));
    minutes.ok_or(wrong("O campo minutesToExpire deve estar entre 10 e 1440."))
}

fn callback(sent: &Map<String, Value>) -> Result<(), Refusal> {
    let callback = sent.get("callback").cloned().unwrap_or_default();
    let is_url = |name: &str| callback[name].as_str().is_some_and(super::is_url);
    let expired = callback["expiredUrl"].is_null() || is_url("expiredUrl");
    if is_url("successUrl") && is_url("cancelUrl") && expired {
        return Ok(());
    }
    Err(wrong(
        "As URLs de callback são inválidas ou não foram informadas.",
    ))
}

/// Returns the sum of the items in centavos.
fn amount(sent: &Map<String, Value>) -> Result<i64, Refusal> {
    let items = sent.get("items").and_then(Value::as_array);
    let items = items.filter(|items| !items.is_empty());
    let items = items.ok_or(wrong("O campo items deve ser informado."))?;
    let mut sum = 0;
    for item in items {
        let length = |name: &str| item[name].as_str().map_or(0, |text| text.chars().count());
        if !(1..=MAX_ITEM_NAME).contains(&length("name")) {
            return Err(wrong("O nome do item deve ter entre 1 e 30 caracteres."));
        }
        if length("description") > MAX_ITEM_DESCRIPTION {
            return Err(wrong(
                "A descrição do item deve ter no máximo 150 caracteres.",
            ));
        }
        let quantity = item["quantity"].as_i64().filter(|quantity| *quantity > 0);
        let value = centavos(&item["value"]).filter(|value| *value > 0);
        let (Some(quantity), Some(value)) = (quantity, value) else {
            return Err(Refusal::of(
                "invalid_value",
                "A quantidade ou o valor do item é inválido.",
            ));
        };
        sum += quantity * value;
    }
    Ok(sum)
}

/// Handles `POST /v3/checkouts/{id}/cancel`.
pub(super) async fn cancel(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    let found = lock(&asaas.state).checkouts.get(&id).cloned();
    found
        .filter(|checkout| checkout.account == account)
        .ok_or(Refusal::Absent)?;
    let checkout = asaas
        .end_checkout(&id, ("CANCELED", "CHECKOUT_CANCELED"), true)
        .map_err(|_| Refusal::action("Este checkout não pode ser cancelado."))?;
    Ok(ok(checkout.answer()))
}

impl Asaas {
    /// Changes an active checkout to `status` and sends `event`.
    pub(super) fn end_checkout(
        &self,
        id: &str,
        (status, event): (&'static str, &str),
        notify: bool,
    ) -> Result<Checkout, String> {
        let mut state = lock(&self.state);
        let found = state.checkouts.get_mut(id);
        let checkout = found.ok_or("there is no such checkout")?;
        if checkout.status != "ACTIVE" {
            return Err(format!("it is {}", checkout.status));
        }
        checkout.status = status;
        let ended = checkout.clone();
        drop(state);
        if notify {
            self.notify(ended.reported(event));
        }
        Ok(ended)
    }

    /// Creates a payment for the checkout and marks the checkout as paid.
    pub(super) fn pay_checkout(&self, id: &str, notify: bool) -> Result<(), String> {
        let found = lock(&self.state).checkouts.get(id).cloned();
        let checkout = found.ok_or("there is no such checkout")?;
        if checkout.status != "ACTIVE" {
            return Err(format!("it is {}", checkout.status));
        }
        let customer = checkout.customer.clone();
        let customer = customer.unwrap_or_else(|| self.walk_in(&checkout.account));
        let asked = Asked {
            billing: checkout.billing,
            amount: checkout.amount,
            due: day_of(self.sim.now()),
            description: checkout.description(),
            reference: checkout.reference.clone(),
            terms: Terms::default(),
            slip_days: None,
        };
        let mut payment = self.draft(&checkout.account, &customer, asked);
        payment.checkout = Some(checkout.id.clone());
        let payment = self.open(payment, notify);
        self.on(&payment.id, notify, |payment, moment| {
            payment.pay(None, moment)
        })?;
        if let Some(checkout) = lock(&self.state).checkouts.get_mut(id) {
            checkout.customer = Some(customer);
        }
        self.end_checkout(id, ("PAID", "CHECKOUT_PAID"), notify)?;
        Ok(())
    }
}
