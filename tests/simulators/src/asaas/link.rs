//! Payment links: reusable, without a customer until a payer pays.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use serde_json::{Map, Value, json};

use super::{
    Asaas,
    answer::{Answer, Refusal, Sent, centavos, day_of, ok, page, reais, text},
    limits::Account,
    payment::{Asked, Billing},
    terms::Terms,
};
use crate::sim::lock;

#[derive(Clone)]
pub(super) struct Link {
    account: String,
    id: String,
    billing: Billing,
    /// Amount in centavos. Without it, the payer chooses the amount.
    amount: Option<i64>,
    deleted: bool,
    sent: Map<String, Value>,
}

impl Link {
    fn json(&self) -> Value {
        let sent = |name: &str| self.sent.get(name).cloned().unwrap_or_default();
        json!({
            "id": self.id, "name": sent("name"), "value": self.amount.map(reais), "active": !self.deleted,
            "chargeType": sent("chargeType"), "url": format!("https://sandbox.asaas.com/c/{}", self.id),
            "billingType": self.billing.word(), "subscriptionCycle": sent("subscriptionCycle"),
            "description": sent("description"), "endDate": sent("endDate"), "deleted": self.deleted, "viewCount": 0,
            "maxInstallmentCount": sent("maxInstallmentCount"), "dueDateLimitDays": sent("dueDateLimitDays"),
            "notificationEnabled": sent("notificationEnabled"), "externalReference": sent("externalReference"),
        })
    }
}

/// Handles `POST /v3/paymentLinks`.
pub(super) async fn create(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Sent(sent): Sent,
) -> Answer {
    if text(&sent, "name").is_none() {
        return Err(Refusal::of(
            "invalid_name",
            "O campo name deve ser informado.",
        ));
    }
    let billing = text(&sent, "billingType").and_then(|word| Billing::read(&word));
    let billing = billing.ok_or(Refusal::of(
        "invalid_billingType",
        "O campo billingType é inválido.",
    ))?;
    let charge = text(&sent, "chargeType").unwrap_or_default();
    if !matches!(charge.as_str(), "DETACHED" | "RECURRENT" | "INSTALLMENT") {
        return Err(Refusal::of(
            "invalid_chargeType",
            "O campo chargeType é inválido.",
        ));
    }
    let wrong = Refusal::of("invalid_value", "O valor informado é inválido.");
    let amount = match sent.get("value").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => Some(centavos(value).filter(|value| *value > 0).ok_or(wrong)?),
    };
    let link = Link {
        account,
        id: asaas.sim.random(16),
        billing,
        amount,
        deleted: false,
        sent,
    };
    let json = link.json();
    lock(&asaas.state).links.insert(link.id.clone(), link);
    Ok(ok(json))
}

/// Handles `GET /v3/paymentLinks`.
pub(super) async fn list(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let state = lock(&asaas.state);
    let mine = state.links.values();
    let found: Vec<_> = mine
        .filter(|link| link.account == account && !link.deleted)
        .collect();
    Ok(ok(page(&query, &found, |link| link.json())))
}

/// Handles `GET /v3/paymentLinks/{id}`.
pub(super) async fn read(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    let state = lock(&asaas.state);
    let found = state.links.get(&id);
    let mine = found.filter(|link| link.account == account);
    Ok(ok(mine.ok_or(Refusal::Absent)?.json()))
}

/// Handles `DELETE /v3/paymentLinks/{id}`.
pub(super) async fn delete(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    let mut state = lock(&asaas.state);
    let found = state.links.get_mut(&id);
    let mine = found.filter(|link| link.account == account && !link.deleted);
    mine.ok_or(Refusal::Absent)?.deleted = true;
    Ok(ok(json!({ "deleted": true, "id": id })))
}

impl Asaas {
    /// Pays the link. Each call creates a separate payment.
    pub(super) fn pay_link(
        &self,
        id: &str,
        amount: Option<i64>,
        notify: bool,
    ) -> Result<(), String> {
        let found = lock(&self.state).links.get(id).cloned();
        let link = found
            .filter(|link| !link.deleted)
            .ok_or("there is no such link")?;
        let amount = link.amount.or(amount).ok_or("the amount is missing")?;
        let customer = self.walk_in(&link.account);
        let asked = Asked {
            billing: link.billing,
            amount,
            due: day_of(self.sim.now()),
            description: text(&link.sent, "description").or(text(&link.sent, "name")),
            reference: text(&link.sent, "externalReference"),
            terms: Terms::default(),
            slip_days: None,
        };
        let mut payment = self.draft(&link.account, &customer, asked);
        payment.link = Some(link.id.clone());
        let payment = self.open(payment, notify);
        self.on(&payment.id, notify, |payment, moment| {
            payment.pay(None, moment)
        })?;
        Ok(())
    }
}
