//! Endpoints with which a merchant changes a charge.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{
    Cobrancas,
    auth::Account,
    charge::{Charge, Way},
    error::{ApiError, Sent},
    order::{date, metadata},
};
use crate::sim::lock;

fn done() -> Json<Value> {
    Json(json!({ "code": 200 }))
}

/// Handles `PUT /v1/charge/{id}/cancel`.
pub(super) async fn cancel(
    State(cobrancas): State<Arc<Cobrancas>>,
    Path(id): Path<String>,
    Account(account): Account,
) -> Result<Json<Value>, ApiError> {
    cobrancas.change((&account, &id), |charge, now| {
        if !matches!(charge.status, "new" | "waiting" | "unpaid" | "link") {
            let text = format!("Uma cobrança {} não pode ser cancelada", charge.status);
            return Err(ApiError::state(&text));
        }
        charge.become_status("canceled", now);
        Ok(())
    })?;
    Ok(done())
}

/// Handles `PUT /v1/charge/{id}/billet`: moves the due date. The boleto's numbers change with it.
pub(super) async fn billet(
    State(cobrancas): State<Arc<Cobrancas>>,
    Path(id): Path<String>,
    Account(account): Account,
    Sent(body): Sent,
) -> Result<Json<Value>, ApiError> {
    let due = date(&cobrancas.sim, &body["expire_at"], "/expire_at")?;
    let moved = cobrancas.change((&account, &id), |charge, now| {
        let is_open = matches!(charge.status, "waiting" | "unpaid");
        match &mut charge.way {
            Way::Billet(billet) if is_open => billet.due = due,
            _ => {
                return Err(ApiError::state(
                    "Só um boleto em aberto tem vencimento a alterar",
                ));
            }
        }
        if charge.status == "unpaid" {
            charge.become_status("waiting", now);
        }
        Ok(())
    })?;
    cobrancas.expect(&mut lock(&cobrancas.state), &moved);
    Ok(done())
}

/// Handles `PUT /v1/charge/{id}/metadata`: changes the named fields.
pub(super) async fn describe(
    State(cobrancas): State<Arc<Cobrancas>>,
    Path(id): Path<String>,
    Account(account): Account,
    Sent(body): Sent,
) -> Result<Json<Value>, ApiError> {
    let (custom_id, url) = metadata(&body, "")?;
    if custom_id.is_none() && url.is_none() {
        return Err(ApiError::property(
            "/",
            "custom_id ou notification_url é obrigatório",
        ));
    }
    cobrancas.change((&account, &id), |charge, _| {
        charge.order.custom_id = custom_id.or(charge.order.custom_id.take());
        charge.order.notification_url = url.or(charge.order.notification_url.take());
        Ok(())
    })?;
    Ok(done())
}

/// Handles `PUT /v1/charge/{id}/settle`: marks the charge as paid by other means.
pub(super) async fn settle(
    State(cobrancas): State<Arc<Cobrancas>>,
    Path(id): Path<String>,
    Account(account): Account,
) -> Result<Json<Value>, ApiError> {
    cobrancas.change((&account, &id), |charge, now| {
        if !matches!(charge.status, "waiting" | "unpaid" | "link") {
            return Err(ApiError::state(
                "Só uma cobrança em aberto pode ser marcada como paga",
            ));
        }
        charge.become_status("settled", now);
        Ok(())
    })?;
    Ok(done())
}

/// Handles `POST /v1/charge/card/{id}/refund`, for card payments only.
pub(super) async fn refund(
    State(cobrancas): State<Arc<Cobrancas>>,
    Path(id): Path<String>,
    Account(account): Account,
    Sent(body): Sent,
) -> Result<Json<Value>, ApiError> {
    let amount = match body.get("amount") {
        None => None,
        Some(amount) => {
            let centavos = amount.as_i64().filter(|amount| *amount > 0);
            let wrong = || ApiError::property("/amount", "deve ser um valor em centavos");
            Some(centavos.ok_or_else(wrong)?)
        }
    };
    cobrancas.change((&account, &id), |charge, now| {
        charge.give_back(amount, now).map_err(ApiError::state)
    })?;
    Ok(Json(
        json!({ "code": 200, "message": "Estorno solicitado com sucesso" }),
    ))
}

impl Charge {
    /// Refunds a card payment. A partial refund does not change the status.
    pub(super) fn give_back(
        &mut self,
        amount: Option<i64>,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), &'static str> {
        let paid = self.paid.as_ref().filter(|_| self.status == "paid");
        let paid = paid.ok_or("A cobrança não está paga")?;
        if paid.method != "credit_card" {
            return Err("Só pagamentos com cartão podem ser estornados");
        }
        let left = paid.amount - self.refunded;
        let amount = amount.unwrap_or(left);
        if amount > left {
            return Err("O valor do estorno é maior que o valor pago");
        }
        self.refunded += amount;
        if amount == left {
            self.become_status("refunded", now);
        }
        Ok(())
    }
}
