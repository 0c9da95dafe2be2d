//! Refunds. The amount is reserved immediately under the charge's lock; the refund's workflow sends it.

use std::time::Duration;

use axum::{
    Json,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use chrono::TimeDelta;
use schemas::{
    charge::ChargeStatus,
    id::{ChargeId, RefundId},
    merchant::Permission,
    page::Page,
    payment_method::PaymentMethodKind,
    problem::FieldError,
    refund::{CreateRefund, Refund, RefundOrigin, RefundStatus},
    retry::Backoff,
    validate::Checked,
};
use store::{
    PgConnection, StoreError,
    charges::{self, LockedCharge},
    idempotency::{self, KeyClaim},
    payments::PaymentRow as Payment,
    refunds::{self, RefundRow},
};
use tokio::time::Instant;

use super::charges::REPLAYED;
use crate::{
    App, Code, Error,
    admission::Work,
    auth::{Admitted, Caller, admit, authenticate},
    input::{Body, Params, Path, needed_idempotency_key, path_id},
};

/// Backoff of checks of a refund whose caller waits: short at first, longer for slow gateways.
const CHECKS: Backoff = Backoff {
    initial_ms: 50,
    factor: 2,
    max_ms: 800,
};
/// Maximum time that the caller waits for the gateway's first response.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Days after the payment within which a Pix can be refunded (BACEN).
const PIX_DAYS: i64 = 90;

/// `POST /v1/charges/{id}/refunds`: 201 with the refund's current state, at the latest after a few seconds.
pub async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    Path(charge): Path<String>,
    body: Body,
) -> Result<Response, Error> {
    let Admitted {
        caller,
        permit,
        place: _place,
    } = admit(&app, &headers, Work::Change).await?;
    let key = needed_idempotency_key(&headers)?;
    let charge: ChargeId = path_id(&charge, "charge")?;
    let checked = app
        .refunds
        .check(body.json_or_empty()?)
        .map_err(|errors| Error::fields(Code::InvalidRequest, errors))?;
    let (id, is_new) = insert(&app, &caller, (charge, key), &checked).await?;
    if is_new {
        app.orchestrator.start_refund(caller.merchant, charge, id);
    }
    drop(permit);
    let refund = first_outcome(&app, id).await?;
    let mut response = (StatusCode::CREATED, Json(refund)).into_response();
    if !is_new {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Reserves the amount, unless the same request was received before. Uses one database connection.
async fn insert(
    app: &App,
    caller: &Caller,
    (id, key): (ChargeId, &str),
    Checked { request, canonical }: &Checked<CreateRefund>,
) -> Result<(RefundId, bool), Error> {
    let owner = (caller.merchant, caller.mode);
    let refund = RefundId(store::new_id());
    let canonical = [id.to_string().as_bytes(), canonical].concat();
    let mut tx = app.store.begin().await.map_err(StoreError::from)?;
    let merchant_key = app
        .store
        .merchant_key(&mut tx, caller.merchant.uuid())
        .await?;
    let claimed =
        idempotency::IdempotentRequest::new(&merchant_key, "refunds.create", key, &canonical);
    match idempotency::claim(&mut tx, owner, &claimed, refund.uuid()).await? {
        KeyClaim::New => {}
        KeyClaim::Same(first) => return Ok((first.into(), false)),
        KeyClaim::Other => return Err(Error::key_reused()),
    }
    let charge = charges::lock(&mut tx, &app.store, id).await?;
    let mut charge = charge
        .filter(|charge| (charge.merchant, charge.mode) == owner)
        .ok_or_else(|| Error::not_found("charge"))?;
    let (payment, amount) = allocate(&mut tx, &charge, request).await?;
    may_refund(&charge, &payment)?;
    charge.amount_refund_pending += amount;
    let new = refunds::NewRefund {
        id: refund,
        merchant: caller.merchant,
        mode: caller.mode,
        charge: id,
        payment: payment.id,
        connection: payment.connection,
        gateway: payment.gateway,
        status: RefundStatus::Pending,
        origin: RefundOrigin::Merchant,
        amount,
        reason: request.reason.as_deref(),
        metadata: &request.metadata,
        gateway_refund_id: None,
        next_check_at: Some(charge.now),
    };
    refunds::insert(&mut tx, &new).await?;
    let mut row = found(&mut tx, refund).await?;
    refunds::append_event(&mut tx, &mut charge, &mut row).await?;
    let due = charges::save(&mut tx, &mut charge).await?;
    tx.commit().await.map_err(StoreError::from)?;
    app.orchestrator.start_deliveries(due);
    Ok((refund, true))
}

/// Returns the payment to refund and the amount, which never exceeds the refundable rest of the payment or of the charge.
async fn allocate(
    db: &mut PgConnection,
    charge: &LockedCharge,
    request: &CreateRefund,
) -> Result<(Payment, i64), Error> {
    if charge.amount_paid == 0 {
        return Err(Error::new(
            Code::ChargeNotRefundable,
            format!("the charge is {}: nothing was paid", charge.status),
        )
        .about(charge.id));
    }
    let given = refunds::of_charge(db, charge.id).await?;
    let left_of = |payment: &Payment| payment.amount - reserved(&given, payment);
    let mut payments = charge.payments.iter().cloned();
    let payment = match request.payment {
        Some(id) => payments.find(|p| p.id == id).ok_or_else(|| {
            let wrong = FieldError::new("payment", "unknown", "is no payment of this charge");
            Error::fields(Code::InvalidRequest, vec![wrong])
        })?,
        None => payments
            .find(|p| left_of(p) > 0)
            .ok_or_else(|| nothing_left(charge))?,
    };
    let of_charge = charge.amount_paid
        - charge.amount_refunded
        - charge.amount_refund_pending
        - charge.amount_disputed;
    let left = left_of(&payment).min(of_charge);
    if left <= 0 {
        return Err(nothing_left(charge));
    }
    match request.amount {
        Some(amount) if amount > left => {
            let message = format!("is more than the {left} centavos that can still be given back");
            let wrong = FieldError::new("amount", "maximum", message);
            Err(Error::fields(Code::RefundTooLarge, vec![wrong]).about(charge.id))
        }
        wanted => Ok((payment, wanted.unwrap_or(left))),
    }
}

fn reserved(given: &[RefundRow], payment: &Payment) -> i64 {
    let standing = given
        .iter()
        .filter(|row| row.payment == payment.id && row.status != RefundStatus::Failed);
    standing.map(|row| row.amount).sum()
}

fn nothing_left(charge: &LockedCharge) -> Error {
    let why = if charge.status == ChargeStatus::Disputed {
        "the payer has claimed the money back: a refund would pay it twice"
    } else {
        "all of it was given back, or is being given back"
    };
    Error::new(Code::ChargeNotRefundable, why).about(charge.id)
}

/// Rejects refunds that the gateway does not support, before any call.
fn may_refund(charge: &LockedCharge, payment: &Payment) -> Result<(), Error> {
    if let Err(why) = gateways::refundable(payment.gateway, payment.method) {
        return Err(Error::new(
            Code::RefundNotSupported,
            format!(
                "{} cannot refund a {}: {why}",
                payment.gateway, payment.method
            ),
        )
        .about(charge.id));
    }
    let age = charge.now - payment.paid_at;
    if payment.method == PaymentMethodKind::Pix && age > TimeDelta::days(PIX_DAYS) {
        return Err(Error::new(
            Code::ChargeNotRefundable,
            "a Pix can be given back for 90 days only",
        )
        .about(charge.id));
    }
    Ok(())
}

/// Waits until the gateway has responded to the refund, or until the deadline.
async fn first_outcome(app: &App, id: RefundId) -> Result<Refund, Error> {
    let deadline = Instant::now() + ANSWER_WITHIN.min(app.config.answer_within);
    let mut n = 0;
    loop {
        let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
        let row = found(&mut db, id).await?;
        drop(db);
        let is_known = row.status != RefundStatus::Pending || row.gateway_refund_id.is_some();
        if is_known || Instant::now() >= deadline {
            return Ok(row.shown());
        }
        tokio::time::sleep(Duration::from_millis(CHECKS.delay_ms(n))).await;
        n += 1;
    }
}

async fn found(db: &mut PgConnection, id: RefundId) -> Result<RefundRow, Error> {
    refunds::find(db, id)
        .await?
        .ok_or_else(|| Error::not_found("refund"))
}

/// `GET /v1/refunds/{id}`.
pub async fn get(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Refund>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    let id = path_id(&id, "refund")?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let row = found(&mut db, id).await?;
    if (row.merchant, row.mode) != (caller.merchant, caller.mode) {
        return Err(Error::not_found("refund"));
    }
    Ok(Json(row.shown()))
}

/// `GET /v1/refunds`: newest first. Filter: `charge`.
pub async fn list(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<Refund>>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    let mut params = Params::new(query.as_deref());
    let range = params.range(RefundId::uuid);
    let charge = params.optional("charge", "must be a charge's id");
    params.finish()?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let owner = (caller.merchant, caller.mode);
    let (data, has_more) = refunds::list(&mut db, owner, charge, range).await?;
    Ok(Json(Page { data, has_more }))
}

/// `GET /v1/charges/{id}/refunds`: the charge's refunds, newest first.
pub async fn of_charge(
    State(app): State<App>,
    headers: HeaderMap,
    Path(charge): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<Refund>>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    let charge: ChargeId = path_id(&charge, "charge")?;
    let mut params = Params::new(query.as_deref());
    let range = params.range(RefundId::uuid);
    params.finish()?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let owner = (caller.merchant, caller.mode);
    charges::view(&mut db, &app.store, owner.0, owner.1, charge)
        .await?
        .ok_or_else(|| Error::not_found("charge"))?;
    let (data, has_more) = refunds::list(&mut db, owner, Some(charge), range).await?;
    Ok(Json(Page { data, has_more }))
}
