//! `POST /v1/charges/{id}/cancel`.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use schemas::{charge::ChargeStatus, id::ChargeId};
use store::{
    StoreError, charges,
    idempotency::{self, KeyClaim},
};
use tokio::time::Instant;

use super::{REPLAYED, TRUE, get::show};
use crate::{
    App, Code, Error,
    admission::Work,
    auth::{Admitted, Caller, admit},
    input::{Path, idempotency_key, path_id},
};

/// Cancels a charge: 200 with the final charge, which may be paid; 202 while the gateway has not answered. A repetition with
/// the same `Idempotency-Key` returns the charge's current state.
pub async fn cancel(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let deadline = Instant::now() + app.config.answer_within;
    let Admitted {
        caller,
        permit,
        place: _place,
    } = admit(&app, &headers, Work::Change).await?;
    let id = path_id(&id, "charge")?;
    let key = idempotency_key(&headers)?;
    let mut waiter = app.outcomes.register(id);
    let (asked, replayed) = request_cancel(&app, &caller, id, key).await?;
    let mut marks = HeaderMap::new();
    if replayed {
        marks.insert(REPLAYED, TRUE);
    }
    if !asked {
        let shown = show(&app, &caller, id).await?;
        if replayed || shown.status == ChargeStatus::Canceled {
            return Ok((marks, Json(shown)).into_response());
        }
        return Err(Error::new(
            Code::ChargeNotCancelable,
            format!("the charge is {}", shown.status),
        )
        .about(id));
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
    Ok((status, marks, Json(show(&app, &caller, id).await?)).into_response())
}

/// Requests the cancellation. Returns two flags: true if the charge can be canceled; true if the same request was received before with its
/// key.
async fn request_cancel(
    app: &App,
    caller: &Caller,
    id: ChargeId,
    key: Option<&str>,
) -> Result<(bool, bool), Error> {
    let (merchant, mode) = (caller.merchant, caller.mode);
    let mut tx = app.store.begin().await.map_err(StoreError::from)?;
    let mut claim = KeyClaim::New;
    if let Some(key) = key {
        let merchant_key = app.store.merchant_key(&mut tx, merchant.uuid()).await?;
        let charge = id.to_string();
        let request = idempotency::IdempotentRequest::new(
            &merchant_key,
            "charges.cancel",
            key,
            charge.as_bytes(),
        );
        claim = idempotency::claim(&mut tx, (merchant, mode), &request, id.uuid()).await?;
    }
    if claim == KeyClaim::Other {
        return Err(Error::key_reused());
    }
    let asked = charges::request_cancel(&mut tx, merchant, mode, id).await?;
    if asked {
        tx.commit().await.map_err(StoreError::from)?;
    }
    Ok((asked, claim != KeyClaim::New))
}
