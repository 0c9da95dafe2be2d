//! `POST /v1/charges/{id}/refunds`.

use std::time::Duration;

use activities::{Starter, Subject};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemas::{
    id::{ChargeId, RefundId},
    problem::FieldError,
    refund::{
        self, CreateRefund, GivenRefund, Refund, RefundOrigin, RefundRefused, RefundStatus,
        Refundable, RefundablePayment,
    },
    retry::Backoff,
    validate::Checked,
};
use store::{
    PgConnection,
    charges::{self, LockedCharge},
    idempotency::{self, KeyClaim},
    payments::PaymentRow,
    refunds::{self, RefundRow},
};
use tokio::time::Instant;

use crate::{
    App, Code, Error,
    auth::{Admitted, Caller, Change, Payments},
    document::problems,
    examples,
    input::{Id, IdempotencyKey, OptionalBody},
    shape,
    v1::replayed,
};

/// Backoff of checks of a refund whose caller waits: short at first, longer for slow gateways.
const CHECKS: Backoff = Backoff {
    initial_ms: 50,
    factor: 2,
    max_ms: 800,
};
/// Maximum time that the caller waits for the gateway's first response.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

problems!(
    NotFound,
    MalformedBody,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    ChargeNotRefundable,
    RefundTooLarge,
    RefundNotSupported,
    Overloaded,
);

/// Refund a charge
///
/// Reserves the amount, sends the refund to the gateway of the payment, and returns the refund in its current state after at most 5
/// seconds. Without a body, all that can still be refunded of the payment is refunded.
#[utoipa::path(
    post,
    path = "/v1/charges/{id}/refunds",
    operation_id = "create_refund",
    tag = "refunds",
    params(("id" = shape::ChargeId, Path, description = "Id of the charge."), IdempotencyKey),
    request_body(content = Option<shape::CreateRefund>, example = json!(examples::create_refund())),
    responses(
        (
            status = 201, description = "The refund in its current state.", body = shape::Refund,
            headers(("Idempotent-Replayed" = bool, description = "`true` if an earlier request with this key was answered.")),
            example = json!(examples::refund()),
        ),
        Problems,
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    admitted: Admitted<Change>,
    IdempotencyKey(key): IdempotencyKey,
    Id(charge): Id<ChargeId>,
    OptionalBody(checked): OptionalBody<CreateRefund>,
) -> Result<Response, Error> {
    let Admitted {
        caller,
        permit,
        place: _place,
        ..
    } = admitted;
    let new = NewRequest { charge, key: &key };
    let Created { id, is_replayed } = insert(&app, &caller, new, &checked).await?;
    if !is_replayed {
        let subject = Subject::refund(caller.merchant, charge, id);
        app.orchestrator.client.wake_later(subject);
    }
    drop(permit);
    let refund = first_outcome(&app, id).await?;
    Ok((StatusCode::CREATED, replayed(is_replayed), Json(refund)).into_response())
}

/// Charge to refund, and the request's `Idempotency-Key`.
struct NewRequest<'a> {
    charge: ChargeId,
    key: &'a str,
}

/// Refund that was created.
struct Created {
    id: RefundId,
    /// True if an earlier request with the same key created it.
    is_replayed: bool,
}

/// Reserves the amount, unless the same request was received before. Uses one database connection.
async fn insert(
    app: &App,
    caller: &Caller<Payments>,
    new: NewRequest<'_>,
    Checked { request, canonical }: &Checked<CreateRefund>,
) -> Result<Created, Error> {
    let (owner, id) = (caller.owner(), RefundId(store::new_id()));
    let canonical = [new.charge.to_string().as_bytes(), canonical].concat();
    let mut tx = app.store.begin().await?;
    let merchant = caller.merchant.uuid();
    let merchant_key = app.store.merchant_key(&mut tx, merchant).await?;
    let claimed =
        idempotency::IdempotentRequest::new(&merchant_key, "refunds.create", new.key, &canonical);
    match idempotency::claim(&mut tx, owner, &claimed, id.uuid()).await? {
        KeyClaim::New => {}
        KeyClaim::Same(first) => {
            return Ok(Created {
                id: first.into(),
                is_replayed: true,
            });
        }
        KeyClaim::Other => return Err(Error::key_reused()),
    }
    let charge = charges::lock(&mut tx, &app.store, new.charge).await?;
    let mut charge = charge
        .filter(|charge| (charge.merchant, charge.mode) == owner)
        .ok_or_else(|| Error::not_found("charge"))?;
    let Allocated { payment, amount } = allocate(&mut tx, &charge, request).await?;
    charge.amount_refund_pending += amount;
    let new = refunds::NewRefund {
        id,
        merchant: caller.merchant,
        mode: caller.mode,
        charge: charge.id,
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
    let mut row = find(&mut tx, id).await?;
    refunds::append_event(&mut tx, &mut charge, &mut row).await?;
    let due = charges::save(&mut tx, &mut charge).await?;
    tx.commit().await?;
    app.orchestrator.client.start_deliveries(due);
    Ok(Created {
        id,
        is_replayed: false,
    })
}

/// Payment to refund, and the amount in centavos.
struct Allocated {
    payment: PaymentRow,
    amount: i64,
}

/// Loads what decides on the refund, and applies the rules of `schemas::refund` and of the payment's gateway.
async fn allocate(
    db: &mut PgConnection,
    charge: &LockedCharge,
    request: &CreateRefund,
) -> Result<Allocated, Error> {
    let given: Vec<_> = refunds::of_charge(db, charge.id)
        .await?
        .iter()
        .map(|row| GivenRefund {
            payment: row.payment,
            status: row.status,
            amount: row.amount,
        })
        .collect();
    let payments: Vec<_> = charge
        .payments
        .iter()
        .map(|row| RefundablePayment {
            id: row.id,
            method: row.method,
            amount: row.amount,
            reserved: refund::reserved(row.id, &given),
            paid_at: row.paid_at,
            is_reversed: row.reversed_at.is_some(),
        })
        .collect();
    let refundable = Refundable {
        status: charge.status,
        amount_paid: charge.amount_paid,
        amount_refunded: charge.amount_refunded,
        amount_refund_pending: charge.amount_refund_pending,
        amount_disputed: charge.amount_disputed,
        now: charge.now,
    };
    let allocation =
        refund::allocate(&refundable, &payments, request).map_err(|why| refused(why, charge.id))?;
    let is_it = |row: &&PaymentRow| row.id == allocation.payment;
    let payment = charge.payments.iter().find(is_it).cloned();
    let payment = payment.ok_or_else(|| Error::not_found("payment"))?;
    supported(&payment).map_err(|error| error.about(charge.id))?;
    Ok(Allocated {
        payment,
        amount: allocation.amount,
    })
}

fn refused(why: RefundRefused, charge: ChargeId) -> Error {
    let wrong = |code, param, kind| {
        Error::fields(code, vec![FieldError::new(param, kind, why.to_string())])
    };
    let error = match why {
        RefundRefused::NothingPaid { .. }
        | RefundRefused::Disputed
        | RefundRefused::NothingLeft
        | RefundRefused::TooLate => Error::new(Code::ChargeNotRefundable, why.to_string()),
        RefundRefused::UnknownPayment => wrong(Code::InvalidRequest, "payment", "unknown"),
        RefundRefused::TooLarge { .. } => wrong(Code::RefundTooLarge, "amount", "maximum"),
    };
    error.about(charge)
}

/// Rejects a refund that the gateway does not support, before any call.
fn supported(payment: &PaymentRow) -> Result<(), Error> {
    gateways::refundable(payment.gateway, payment.method).map_err(|why| {
        let (gateway, method) = (payment.gateway, payment.method);
        let why = format!("{gateway} cannot refund a {method}: {why}");
        Error::new(Code::RefundNotSupported, why)
    })
}

/// Waits until the gateway has responded to the refund, or until the deadline.
async fn first_outcome(app: &App, id: RefundId) -> Result<Refund, Error> {
    let deadline = Instant::now() + ANSWER_WITHIN.min(app.config.answer_within);
    let mut n = 0;
    loop {
        let mut db = app.db().await?;
        let row = find(&mut db, id).await?;
        drop(db);
        let is_known = row.status != RefundStatus::Pending || row.gateway_refund_id.is_some();
        if is_known || Instant::now() >= deadline {
            return Ok(row.shown());
        }
        tokio::time::sleep(Duration::from_millis(CHECKS.delay_ms(n))).await;
        n += 1;
    }
}

async fn find(db: &mut PgConnection, id: RefundId) -> Result<RefundRow, Error> {
    let row = refunds::find(db, id).await?;
    row.ok_or_else(|| Error::not_found("refund"))
}
