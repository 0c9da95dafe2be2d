//! Account calls: balance, status, fees and Pix transactions.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use serde_json::{Value, json};

use super::{
    Asaas,
    answer::{Answer, Refusal, local, ok, page, reais},
    limits::Account,
    payment::Payment,
};
use crate::sim::lock;

impl Payment {
    /// Returns the payment's contribution to the balance in centavos. Refunds do not return fees, and an open dispute blocks its amount.
    fn balance(&self) -> i64 {
        if self.received_at.is_none() || self.by_hand {
            return 0;
        }
        let blocked = self.dispute.filter(|dispute| dispute.open);
        self.net() - self.refunded() - blocked.map_or(0, |dispute| dispute.amount)
    }
}

impl Asaas {
    /// Returns the account's balance in centavos; it may be negative.
    pub(super) fn balance(&self, account: &str) -> i64 {
        let state = lock(&self.state);
        let mine = state.payments.values();
        mine.filter(|payment| payment.account == account)
            .map(Payment::balance)
            .sum()
    }
}

/// Handles `GET /v3/finance/balance`.
pub(super) async fn balance(State(asaas): State<Arc<Asaas>>, Account(account): Account) -> Answer {
    Ok(ok(json!({ "balance": reais(asaas.balance(&account)) })))
}

/// Handles `GET /v3/myAccount`.
pub(super) async fn account(Account(account): Account) -> Answer {
    Ok(ok(json!({
        "object": "account", "id": account, "name": "Conta simulada", "personType": "JURIDICA", "country": "Brasil",
    })))
}

/// Handles `GET /v3/myAccount/status`.
pub(super) async fn status(Account(account): Account) -> Answer {
    Ok(ok(json!({
        "id": account, "commercialInfo": "APPROVED", "bankAccountInfo": "APPROVED", "documentation": "APPROVED", "general": "APPROVED",
    })))
}

/// Handles `GET /v3/myAccount/fees` with the prices of `docs/gateways/README.md#fees`.
pub(super) async fn fees(Account(_): Account) -> Answer {
    Ok(ok(json!({ "payment": {
        "bankSlip": { "defaultValue": reais(199), "discountValue": null, "expirationDate": null },
        "creditCard": { "operationValue": reais(49), "oneInstallmentPercentage": reais(299) },
        "pix": { "fixedFeeValue": reais(199), "percentageFee": null },
    } })))
}

fn transaction(payment: &Payment) -> Option<Value> {
    let (id, e2e) = payment.pix.as_ref()?;
    Some(json!({
        "id": id, "endToEndIdentifier": e2e, "value": reais(payment.amount), "payment": payment.id, "status": "DONE",
        "type": "CREDIT", "dateCreated": payment.paid_at.map(local), "effectiveDate": payment.paid_at.map(local),
        "description": payment.description, "refundedValue": reais(payment.refunded()),
    }))
}

/// Handles `GET /v3/pix/transactions?endToEndIdentifier=`, newest first.
pub(super) async fn transactions(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let wanted = query.iter().find(|(name, _)| name == "endToEndIdentifier");
    let state = lock(&asaas.state);
    let newest = state.order.iter().rev();
    let found: Vec<_> = newest
        .filter_map(|id| state.payments.get(id))
        .filter(|payment| payment.account == account)
        .filter_map(transaction)
        .filter(|pix| wanted.is_none_or(|(_, wanted)| pix["endToEndIdentifier"] == **wanted))
        .collect();
    Ok(ok(page(&query, &found, Value::clone)))
}

/// Handles `GET /v3/pix/transactions/{id}`.
pub(super) async fn one_transaction(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    let state = lock(&asaas.state);
    let mut mine = state
        .payments
        .values()
        .filter(|payment| payment.account == account);
    let found = mine.find(|payment| payment.pix.as_ref().is_some_and(|(pix, _)| *pix == id));
    found.and_then(transaction).map(ok).ok_or(Refusal::Absent)
}
