//! `POST /v1/charges`.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode},
    response::{IntoResponse, Response},
};
use schemas::{
    charge::{Charge, CreateCharge},
    id::ChargeId,
    payment_method::PaymentMethodKind,
    problem::FieldError,
    route::Fallback,
    validate::Checked,
};
use store::{
    StoreError,
    charges::create::{self, CreatedCharge},
    idempotency,
};
use tokio::time::Instant;

use super::{REPLAYED, TRUE, wait::Waiting};
use crate::{
    App, Code, Error,
    admission::Work,
    auth::{Admitted, Caller, admit},
    input::{Body, needed_idempotency_key},
};

/// Header that marks a response whose charge was created by an earlier request with another `Idempotency-Key` and the same `reference`.
const OPEN_CHARGE_RETURNED: HeaderName = HeaderName::from_static("open-charge-returned");
/// Minimum number of eligible connections for a fallback.
const WITH_FALLBACK: usize = 2;

/// Creates a charge: 201 with the charge's current state, at the latest after `answer_within`. The status may be `failed`, because the
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
    let id = ChargeId(store::new_id());
    let waiting = Waiting {
        app: &app,
        caller: &caller,
        deadline,
    };
    match accept(&app, &caller, NewRequest { id, key }, &checked).await? {
        CreatedCharge::New => {
            let waiter = app.outcomes.register(id);
            app.orchestrator
                .start_charge(caller.merchant, id, Box::new(permit));
            waiting.answer(waiter, id).await.map(created)
        }
        CreatedCharge::Replayed(first) => {
            let shown = waiting.wait_for_outcome(first, permit).await?;
            let mut response = created(shown);
            response.headers_mut().insert(REPLAYED, TRUE);
            Ok(response)
        }
        CreatedCharge::Open(open) => {
            let shown = waiting.wait_for_outcome(open, permit).await?;
            Ok(([(OPEN_CHARGE_RETURNED, TRUE)], Json(shown)).into_response())
        }
        CreatedCharge::OtherRequest => Err(Error::key_reused()),
        CreatedCharge::PastDue => {
            let expected = "must be such that it can still be paid today";
            Err(wrong_due_date(request, "minimum", expected))
        }
        CreatedCharge::DueTooFar => {
            let expected = "must be at most five years ahead";
            Err(wrong_due_date(request, "maximum", expected))
        }
        CreatedCharge::Conflict(open) => Err(Error::new(
            Code::ReferenceInUse,
            format!("the charge {open} with this reference is still open"),
        )
        .about(open)),
    }
}

fn created(charge: Charge) -> Response {
    (StatusCode::CREATED, Json(charge)).into_response()
}

/// Id of the charge that a request may create, and the request's `Idempotency-Key`.
struct NewRequest<'a> {
    id: ChargeId,
    key: &'a str,
}

/// Accepts a charge: inserts it with its key and payer, unless the key or an open charge exists. Nothing is stored if an error is returned.
async fn accept(
    app: &App,
    caller: &Caller,
    new: NewRequest<'_>,
    Checked { request, canonical }: &Checked<CreateCharge>,
) -> Result<CreatedCharge, Error> {
    let preview = app
        .orchestrator
        .preview(caller.merchant, caller.mode, request)
        .await?;
    let too_few = request.require_fallback && preview.eligible < WITH_FALLBACK;
    let (routed, lacking) = (preview.routed, lacking(&preview.fallbacks));
    let mut tx = app.store.begin().await.map_err(StoreError::from)?;
    let merchant_key = app
        .store
        .merchant_key(&mut tx, caller.merchant.uuid())
        .await?;
    let charge = create::NewCharge {
        id: new.id,
        merchant: caller.merchant,
        mode: caller.mode,
        request,
        idempotency: &idempotency::IdempotentRequest::new(
            &merchant_key,
            "charges.create",
            new.key,
            canonical,
        ),
        duplicate_reference: caller.settings.duplicate_reference,
        fallbacks: &preview.fallbacks,
    };
    let created = create::insert(&mut tx, &app.store, &charge).await?;
    // A repetition of an accepted request is answered even if the merchant or its routes have changed since.
    if matches!(created, CreatedCharge::New) {
        caller.may_create()?;
    }
    match created {
        CreatedCharge::New if routed == 0 => Err(Error::new(
            Code::NoGatewayConnection,
            format!(
                "no connection takes {} in {} mode; nothing was stored",
                request.payment_method.kind(),
                caller.mode
            ),
        )),
        CreatedCharge::New if preview.eligible == 0 => {
            Err(Error::fields(Code::NoEligibleGateway, lacking))
        }
        CreatedCharge::New if too_few && lacking.is_empty() => Err(Error::new(
            Code::FallbackRequired,
            format!(
                "only {} connection takes {}; nothing was stored",
                preview.eligible,
                request.payment_method.kind()
            ),
        )),
        CreatedCharge::New if too_few => Err(Error::fields(Code::FallbackRequired, lacking)),
        CreatedCharge::OtherRequest
        | CreatedCharge::Conflict(_)
        | CreatedCharge::PastDue
        | CreatedCharge::DueTooFar => Ok(created),
        CreatedCharge::New | CreatedCharge::Replayed(_) | CreatedCharge::Open(_) => {
            tx.commit().await.map_err(StoreError::from)?;
            Ok(created)
        }
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
