//! `POST /v1/charges/{id}/cancel`.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemas::{charge::ChargeStatus, id::ChargeId};
use store::{
    charges,
    idempotency::{self, KeyClaim},
};

use super::wait::Waiting;
use crate::{
    App, Code, Error,
    auth::{Admitted, Caller, Change, Payments},
    document::problems,
    examples,
    input::{Id, IdempotencyKey, OptionalIdempotencyKey},
    shape,
    v1::replayed,
};

problems!(
    NotFound,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    ChargeNotCancelable,
    Overloaded
);

/// Cancel a charge
///
/// Cancels a charge at its gateway, so that it can no longer be paid. A payment that arrives first wins: the charge is then `paid`. A
/// repetition with the same `Idempotency-Key` returns the charge's current state.
#[utoipa::path(
    post,
    path = "/v1/charges/{id}/cancel",
    operation_id = "cancel_charge",
    tag = "charges",
    params(("id" = shape::ChargeId, Path, description = "Id of the charge."), OptionalIdempotencyKey),
    responses(
        (
            status = 200, description = "The charge has ended: it is canceled, or paid.", body = shape::Charge,
            headers(("Idempotent-Replayed" = bool, description = "`true` if an earlier request with this key was answered.")),
            example = json!(examples::canceled_charge()),
        ),
        (
            status = 202, description = "The gateway has not answered yet. An event reports the outcome.", body = shape::Charge,
            headers(("Idempotent-Replayed" = bool, description = "`true` if an earlier request with this key was answered.")),
            example = json!(examples::charge()),
        ),
        Problems,
    ),
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    admitted: Admitted<Change>,
    Id(id): Id<ChargeId>,
    key: Option<IdempotencyKey>,
) -> Result<Response, Error> {
    let Admitted {
        caller,
        permit,
        place: _place,
        deadline,
        ..
    } = admitted;
    let waiting = Waiting {
        app: &app,
        caller: &caller,
        deadline,
    };
    let mut waiter = app.outcomes.register(id);
    let requested = request(&app, &caller, id, key).await?;
    let marks = replayed(requested.is_replayed);
    if !requested.is_cancelable {
        let charge = waiting.charge(id).await?;
        if requested.is_replayed || charge.status == ChargeStatus::Canceled {
            return Ok((marks, Json(charge)).into_response());
        }
        let why = format!("the charge is {}", charge.status);
        return Err(Error::new(Code::ChargeNotCancelable, why).about(id));
    }
    let (orchestrator, merchant) = (app.orchestrator.clone(), caller.merchant);
    app.tracker
        .spawn(async move { orchestrator.wake_charge(merchant, id).await });
    drop(permit);
    let ended = waiter.until(deadline, ChargeStatus::is_final).await;
    let status = if ended.is_some() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let _permit = app.admission.answer(caller.line()).await;
    Ok((status, marks, Json(waiting.charge(id).await?)).into_response())
}

/// Requested cancellation.
struct Requested {
    /// True if the charge can be canceled.
    is_cancelable: bool,
    /// True if the same request was received before with its key.
    is_replayed: bool,
}

async fn request(
    app: &App,
    caller: &Caller<Payments>,
    id: ChargeId,
    key: Option<IdempotencyKey>,
) -> Result<Requested, Error> {
    let (merchant, mode) = caller.owner();
    let mut tx = app.store.begin().await?;
    let mut claim = KeyClaim::New;
    if let Some(IdempotencyKey(key)) = key {
        let merchant_key = app.store.merchant_key(&mut tx, merchant.uuid()).await?;
        let charge = id.to_string();
        let request = idempotency::IdempotentRequest::new(
            &merchant_key,
            "charges.cancel",
            &key,
            charge.as_bytes(),
        );
        claim = idempotency::claim(&mut tx, (merchant, mode), &request, id.uuid()).await?;
    }
    if claim == KeyClaim::Other {
        return Err(Error::key_reused());
    }
    let is_cancelable = charges::request_cancel(&mut tx, merchant, mode, id).await?;
    if is_cancelable {
        tx.commit().await?;
    }
    Ok(Requested {
        is_cancelable,
        is_replayed: claim != KeyClaim::New,
    })
}
