//! Charges: create, read, list, cancel, timeline.

use activities::charge::{Acceptance, ChargeToAccept};
use axum::{
    Json,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use schemas::{
    charge::{Charge, ChargeStatus, CreateCharge},
    id::ChargeId,
    merchant::Permission,
    page::Page,
    payment_method::PaymentMethodKind,
    problem::FieldError,
    route::Fallback,
    timeline::Timeline,
};
use store::{
    StoreError,
    charges::{self, list::ChargeFilter},
    idempotency::{self, KeyClaim},
    listen::Waiter,
    timeline,
};
use tokio::time::Instant;

use crate::{
    App, Code, Error,
    admission::{Permit, Work},
    auth::{Admitted, Caller, admit, authenticate},
    input::{Body, Params, Path, idempotency_key, needed_idempotency_key, path_id},
};

/// Header that marks the response of an earlier request with the same `Idempotency-Key`.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Header that marks a response whose charge was created by an earlier request with another `Idempotency-Key` and the same `reference`.
const OPEN_CHARGE_RETURNED: HeaderName = HeaderName::from_static("open-charge-returned");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// `POST /v1/charges`: 201 with the charge's current state, at the latest after `answer_within`. The status may be `failed`, because the
/// charge exists and has its failure. 200 with `Open-Charge-Returned: true` if an open charge with the same reference, amount, method and
/// payer is returned instead.
pub async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    let deadline = Instant::now() + app.config.answer_within;
    let Admitted {
        caller,
        permit,
        place: _place,
    } = admit(&app, &headers, Work::Create).await?;
    let key = needed_idempotency_key(&headers)?;
    let checked = app
        .charges
        .check(body.json()?)
        .map_err(|errors| Error::fields(Code::InvalidRequest, errors))?;
    let request = &checked.request;
    let wrong = request.payment_method.check(request.amount);
    if !wrong.is_empty() {
        return Err(Error::fields(Code::InvalidRequest, wrong));
    }
    let waiting = Waiting {
        app: &app,
        caller: &caller,
        deadline,
    };
    let wanted = ChargeToAccept {
        merchant: caller.merchant,
        mode: caller.mode,
        settings: &caller.settings,
        may_create: caller.may_create().is_ok(),
        key,
        request,
        canonical: &checked.canonical,
    };
    match Box::pin(app.orchestrator.accept_charge(wanted)).await? {
        Acceptance::New(id) => {
            let waiter = app.outcomes.register(id);
            app.orchestrator
                .start_charge(caller.merchant, id, Box::new(permit));
            waiting.answer(waiter, id).await.map(created)
        }
        Acceptance::Replayed(first) => {
            let shown = waiting.wait_for_outcome(first, permit).await?;
            let mut response = created(shown);
            response.headers_mut().insert(REPLAYED, TRUE);
            Ok(response)
        }
        Acceptance::Open(open) => {
            let shown = waiting.wait_for_outcome(open, permit).await?;
            Ok(([(OPEN_CHARGE_RETURNED, TRUE)], Json(shown)).into_response())
        }
        refused => Err(refusal(&caller, request, refused)),
    }
}

/// Returns the error for a request that was not accepted. Nothing was stored.
fn refusal(caller: &Caller, request: &CreateCharge, refused: Acceptance) -> Error {
    let method = request.payment_method.kind();
    match refused {
        Acceptance::PastDue => {
            let expected = "must be such that it can still be paid today";
            wrong_due_date(request, "minimum", expected)
        }
        Acceptance::DueTooFar => {
            wrong_due_date(request, "maximum", "must be at most five years ahead")
        }
        Acceptance::Conflict(open) => Error::new(
            Code::ReferenceInUse,
            format!("the charge {open} with this reference is still open"),
        )
        .about(open),
        Acceptance::NotAllowed => caller.not_active(),
        Acceptance::NotRouted => Error::new(
            Code::NoGatewayConnection,
            format!(
                "no connection takes {method} in {} mode; nothing was stored",
                caller.mode
            ),
        ),
        Acceptance::NotEligible(fallbacks) => {
            Error::fields(Code::NoEligibleGateway, lacking(&fallbacks))
        }
        Acceptance::TooFew(eligible, fallbacks) if fallbacks.is_empty() => Error::new(
            Code::FallbackRequired,
            format!("only {eligible} connection takes {method}; nothing was stored"),
        ),
        Acceptance::TooFew(_, fallbacks) => {
            Error::fields(Code::FallbackRequired, lacking(&fallbacks))
        }
        Acceptance::OtherRequest
        | Acceptance::New(_)
        | Acceptance::Replayed(_)
        | Acceptance::Open(_) => Error::key_reused(),
    }
}

fn wrong_due_date(request: &CreateCharge, code: &str, expected: &str) -> Error {
    let field = match request.payment_method.kind() {
        PaymentMethodKind::Pix => "payment_method.due.due_date",
        PaymentMethodKind::Boleto | PaymentMethodKind::Card => "payment_method.due_date",
    };
    let wrong = FieldError::new(field, code, expected);
    Error::fields(Code::InvalidRequest, vec![wrong])
}

/// Returns the gateways' unmet requirements as field errors.
fn lacking(fallbacks: &[Fallback]) -> Vec<FieldError> {
    let wanted = fallbacks.iter().flat_map(|fallback| {
        let gateway = fallback.gateway;
        fallback.unmet.iter().map(move |unmet| {
            FieldError::new(
                &unmet.field,
                "unmet",
                format!("{gateway}: {}", unmet.reason),
            )
        })
    });
    wanted.collect()
}

/// Caller that waits for a charge's outcome, without a permit and without a database connection.
struct Waiting<'a> {
    app: &'a App,
    caller: &'a Caller,
    deadline: Instant,
}

impl Waiting<'_> {
    /// Waits for an existing charge, and starts it if it is still `processing`.
    async fn wait_for_outcome(&self, id: ChargeId, permit: Permit) -> Result<Charge, Error> {
        let waiter = self.app.outcomes.register(id);
        let shown = show(self.app, self.caller, id).await?;
        if shown.status != ChargeStatus::Processing {
            return Ok(shown);
        }
        self.app
            .orchestrator
            .start_charge(self.caller.merchant, id, Box::new(permit));
        self.answer(waiter, id).await
    }

    async fn answer(&self, mut waiter: Waiter, id: ChargeId) -> Result<Charge, Error> {
        waiter.left_processing(self.deadline).await;
        let _permit = self.app.admission.answer(self.caller.line()).await;
        show(self.app, self.caller, id).await
    }
}

async fn show(app: &App, caller: &Caller, id: ChargeId) -> Result<Charge, Error> {
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let shown = charges::view(&mut db, &app.store, caller.merchant, caller.mode, id).await?;
    shown.ok_or_else(|| Error::not_found("charge"))
}

fn created(charge: Charge) -> Response {
    (StatusCode::CREATED, Json(charge)).into_response()
}

/// `GET /v1/charges/{id}`.
pub async fn get(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Charge>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    Ok(Json(show(&app, &caller, path_id(&id, "charge")?).await?))
}

/// `GET /v1/charges`: newest first. Filters: `reference` and `status`.
pub async fn list(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<Charge>>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    let mut params = Params::new(query.as_deref());
    let range = params.range(ChargeId::uuid);
    let filter = ChargeFilter {
        reference: params.optional("reference", "must be text"),
        status: params.optional(
            "status",
            "must be a status of a charge, such as `pending` or `paid`",
        ),
    };
    params.finish()?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let (data, has_more) = charges::list::list(
        &mut db,
        &app.store,
        (caller.merchant, caller.mode),
        &filter,
        range,
    )
    .await?;
    Ok(Json(Page { data, has_more }))
}

/// `POST /v1/charges/{id}/cancel`: 200 with the final charge, which may be paid; 202 while the gateway has not answered. A repetition with
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

/// `GET /v1/charges/{id}/timeline`: all entries about the charge, oldest first.
pub async fn timeline(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Timeline>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    let id = path_id(&id, "charge")?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let found = timeline::of_charge(&mut db, caller.merchant, caller.mode, id).await?;
    found.map(Json).ok_or_else(|| Error::not_found("charge"))
}
