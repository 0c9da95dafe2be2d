//! Endpoints under `/v3/payments`. References need not be unique.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use chrono::NaiveDate;
use serde_json::{Value, json};

use super::{
    Asaas,
    answer::{Answer, Refusal, Sent, about, day_of, ok, page},
    boleto,
    limits::Account,
    order,
    payment::{Asked, Installment, Payment},
};
use crate::sim::lock;

/// Handles `POST /v3/payments`. For a plan, the response contains the first payment.
pub(super) async fn create(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Sent(sent): Sent,
) -> Answer {
    let today = day_of(asaas.sim.now());
    let order = order::read(&sent, today, |id| asaas.knows(&account, id))?;
    let plan = order.is_plan.then(|| super::uuid(&asaas.sim));
    let mut first = None;
    for (n, asked) in (1..).zip(order.asked) {
        let mut payment = asaas.draft(&account, &order.customer, asked);
        payment.installment = plan.clone().map(|plan| Installment { plan, n });
        let payment = asaas.open(payment, true);
        asaas.expect_payment(&payment.id);
        first = first.or(Some(payment));
    }
    let first = first.ok_or(Refusal::Absent)?;
    Ok(about(first.reference.as_ref(), first.json()))
}

impl Asaas {
    /// Creates a payment without storing it.
    pub(super) fn draft(&self, account: &str, customer: &str, asked: Asked) -> Payment {
        Payment {
            account: account.to_owned(),
            id: format!("pay_{}", self.sim.random(16)),
            number: lock(&self.state).number(),
            customer: customer.to_owned(),
            original_due: asked.due,
            asked,
            original: None,
            status: "PENDING",
            deleted: false,
            created_at: self.sim.now(),
            paid_at: None,
            received_at: None,
            credit_at: None,
            by_hand: false,
            slip_cancelled: false,
            installment: None,
            checkout: None,
            link: None,
            pix: None,
            refunds: Vec::new(),
            before_refund: None,
            dispute: None,
            location: format!("pix.asaas.com/qr/cobv/{}", self.sim.random(32)),
            service_us: 0,
        }
    }

    /// Stores a payment and begins its lifecycle.
    pub(super) fn open(&self, payment: Payment, notify: bool) -> Payment {
        let id = payment.id.clone();
        lock(&self.state).add(payment.clone());
        let started = self.on(&id, notify, |payment, moment| {
            payment.begin(moment);
            Ok::<_, Refusal>(())
        });
        started.unwrap_or(payment)
    }
}

/// Handles `GET /v3/payments?externalReference=`, newest first.
pub(super) async fn list(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let dated =
        |(name, _): &&(String, String)| name.contains("Date") || name.contains("dateCreated");
    if query
        .iter()
        .filter(dated)
        .any(|(_, text)| text.parse::<NaiveDate>().is_err())
    {
        return Err(Refusal::of(
            "invalid_object",
            "A data informada é inválida.",
        ));
    }
    let listed = asaas.behavior().list_deleted;
    let state = lock(&asaas.state);
    let reference = query.iter().find(|(name, _)| name == "externalReference");
    let ids = match reference {
        Some((_, reference)) => state.by_reference.get(reference),
        None => Some(&state.order),
    };
    let found: Vec<_> = ids
        .into_iter()
        .flatten()
        .rev()
        .filter_map(|id| state.payments.get(id))
        .filter(|payment| payment.account == account && (listed || !payment.deleted))
        .filter(|payment| {
            query
                .iter()
                .all(|(name, wanted)| matches(payment, name, wanted))
        })
        .collect();
    Ok(ok(page(&query, &found, |payment| payment.json())))
}

/// Returns true if the payment matches one filter. Unknown parameters match.
fn matches(payment: &Payment, name: &str, wanted: &str) -> bool {
    let (field, bound) = name.split_once('[').unwrap_or((name, ""));
    let (payment_day, created) = (payment.received_at.map(day_of), day_of(payment.created_at));
    let found = match field {
        "status" => return payment.status == wanted,
        "customer" => return payment.customer == wanted,
        "billingType" => return payment.billing.word() == wanted,
        "installment" => {
            return payment
                .installment
                .as_ref()
                .is_some_and(|one| one.plan == wanted);
        }
        "checkoutSession" => return payment.checkout.as_deref() == Some(wanted),
        "paymentLink" => return payment.link.as_deref() == Some(wanted),
        "dateCreated" => Some(created),
        "dueDate" => Some(payment.due),
        "paymentDate" => payment_day,
        "clientPaymentDate" => payment.paid_at.map(day_of),
        "estimatedCreditDate" => payment.credit_at.map(day_of),
        _ => return true,
    };
    let (Some(found), Ok(wanted)) = (found, wanted.parse::<NaiveDate>()) else {
        return false;
    };
    match bound {
        "ge]" => found >= wanted,
        "le]" => found <= wanted,
        _ => found == wanted,
    }
}

/// Handles `GET /v3/payments/{id}`.
pub(super) async fn read(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    Ok(ok(asaas.payment(&account, &id)?.json()))
}

/// Handles `GET /v3/payments/{id}/status`.
pub(super) async fn status(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    let payment = asaas.payment(&account, &id)?;
    Ok(ok(json!({ "status": payment.status })))
}

/// Handles `GET /v3/payments/{id}/identificationField`.
pub(super) async fn line(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    let payment = asaas.payment(&account, &id)?;
    if !payment.billing.has_slip() || payment.deleted || payment.slip_cancelled {
        return Err(Refusal::action(
            "Somente é possível obter a linha digitável quando a forma de pagamento for boleto bancário.",
        ));
    }
    let barcode = payment.barcode();
    let json = json!({
        "identificationField": boleto::line(&barcode), "nossoNumero": payment.number.to_string(), "barCode": barcode,
    });
    Ok(about(payment.reference.as_ref(), json))
}

/// Handles `PUT /v3/payments/{id}`, for unpaid payments only.
pub(super) async fn change(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
    Sent(sent): Sent,
) -> Answer {
    let before = asaas.payment(&account, &id)?.reference.clone();
    let payment = asaas.on(&id, true, |payment, moment| {
        if payment.deleted || !payment.is_open() {
            return Err(Refusal::action("Esta cobrança não pode ser alterada."));
        }
        let today = day_of(moment.now);
        let mut asked = payment.asked.clone();
        order::change(&mut asked, &sent, today)?;
        payment.asked = asked;
        if payment.due >= today {
            payment.status = "PENDING";
        }
        moment.notify("PAYMENT_UPDATED", payment);
        payment.expect(moment);
        Ok(())
    })?;
    if payment.reference != before {
        let mut state = lock(&asaas.state);
        state.forget(&id, before.as_ref());
        state.index(&payment);
    }
    Ok(about(payment.reference.as_ref(), payment.json()))
}

/// Handles `DELETE /v3/payments/{id}`, for pending or overdue payments only.
pub(super) async fn delete(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    asaas.payment(&account, &id)?;
    asaas.on(&id, true, |payment, moment| {
        let done = payment.delete(moment);
        done.map_err(|_| Refusal::action("Esta cobrança não pode ser removida."))
    })?;
    Ok(ok(json!({ "deleted": true, "id": id })))
}

/// Handles `POST /v3/payments/{id}/restore`.
pub(super) async fn restore(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    step(&asaas, &account, &id, |payment, moment| {
        if !payment.deleted {
            return Err("it is not deleted".to_owned());
        }
        payment.deleted = false;
        moment.notify("PAYMENT_RESTORED", payment);
        payment.expect(moment);
        Ok(())
    })
}

/// Handles `POST /v3/payments/{id}/receiveInCash`.
pub(super) async fn by_hand(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    step(&asaas, &account, &id, |payment, moment| {
        if payment.deleted || !payment.is_open() {
            return Err(format!("it is {}", payment.status));
        }
        payment.by_hand = true;
        payment.status = "RECEIVED_IN_CASH";
        payment.paid_at = Some(moment.now);
        payment.received_at = Some(moment.now);
        moment.notify("PAYMENT_RECEIVED_IN_CASH", payment);
        Ok(())
    })
}

/// Handles `POST /v3/payments/{id}/undoReceivedInCash`.
pub(super) async fn undo_by_hand(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    step(&asaas, &account, &id, |payment, moment| {
        if payment.status != "RECEIVED_IN_CASH" {
            return Err(format!("it is {}", payment.status));
        }
        payment.by_hand = false;
        payment.status = "PENDING";
        payment.paid_at = None;
        payment.received_at = None;
        moment.notify("PAYMENT_RECEIVED_IN_CASH_UNDONE", payment);
        payment.expect(moment);
        Ok(())
    })
}

/// Handles `POST /v3/sandbox/payment/{id}/confirm`.
pub(super) async fn confirm(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    step(&asaas, &account, &id, |payment, moment| {
        if payment.deleted {
            return Err("it is deleted".to_owned());
        }
        payment.pay(None, moment)
    })
}

/// Handles `POST /v3/sandbox/payment/{id}/overdue`.
pub(super) async fn overdue(
    State(asaas): State<Arc<Asaas>>,
    Account(account): Account,
    Path(id): Path<String>,
) -> Answer {
    step(&asaas, &account, &id, Payment::overdue)
}

/// Applies a state change, or refuses it in Asaas's format.
fn step(
    asaas: &Asaas,
    account: &str,
    id: &str,
    what: impl FnOnce(&mut Payment, &mut super::lifecycle::Moment) -> Result<(), String>,
) -> Answer {
    asaas.payment(account, id)?;
    let payment = asaas.on(id, true, |payment, moment| {
        let done = what(payment, moment);
        done.map_err(|_| {
            Refusal::action("Esta ação não é permitida para a situação atual da cobrança.")
        })
    })?;
    let json: Value = payment.json();
    Ok(about(payment.reference.as_ref(), json))
}
