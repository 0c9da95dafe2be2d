//! `POST /v1/charges`.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode},
    response::{IntoResponse, Response},
};
use schemas::{
    charge::CreateCharge, id::ChargeId, payment_method::PaymentMethodKind, problem::FieldError,
    route::Fallback, validate::Checked,
};
use store::{
    charges::create::{self, CreatedCharge},
    idempotency,
};

use super::wait::Waiting;
use crate::{
    App, Code, Error,
    auth::{Admitted, Caller, Creation, Payments},
    document::problems,
    examples,
    input::{Body, IdempotencyKey},
    shape,
    v1::{TRUE, replayed},
};

/// Header that marks a response whose charge was created by an earlier request with another `Idempotency-Key` and the same `reference`.
const OPEN_CHARGE_RETURNED: HeaderName = HeaderName::from_static("open-charge-returned");
/// Minimum number of eligible connections for a fallback.
const WITH_FALLBACK: usize = 2;

problems!(
    MerchantNotActive,
    MalformedBody,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    ReferenceInUse,
    NoGatewayConnection,
    NoEligibleGateway,
    FallbackRequired,
    Overloaded,
);

/// Create a charge
///
/// Creates a charge, presents it at a gateway, and returns its current state after at most 15 seconds. If a gateway fails, the charge is
/// presented at another one. A charge that no gateway accepted is returned with the status `failed` and its failure, because it exists.
///
/// If an open charge has the same reference, amount, payment method and payer, it is returned instead with the status 200 and
/// `Open-Charge-Returned: true` (merchant setting `duplicate_reference`).
#[utoipa::path(
    post,
    path = "/v1/charges",
    operation_id = "create_charge",
    tag = "charges",
    params(IdempotencyKey),
    request_body(
        content = shape::CreateCharge,
        examples(
            ("pix" = (summary = "Pix", value = json!(examples::create_pix()))),
            ("boleto" = (summary = "Boleto", value = json!(examples::create_boleto()))),
            ("card" = (summary = "Card payment link", value = json!(examples::create_card()))),
        ),
    ),
    responses(
        (
            status = 201, description = "The charge in its current state. Its status may be `failed`.", body = shape::Charge,
            headers(("Idempotent-Replayed" = bool, description = "`true` if an earlier request with this key was answered.")),
            examples(
                ("pending" = (summary = "Payable", value = json!(examples::charge()))),
                ("failed" = (summary = "No gateway accepted it", value = json!(examples::failed_charge()))),
            ),
        ),
        (
            status = 200, description = "The open charge with the same reference.", body = shape::Charge,
            headers(("Open-Charge-Returned" = bool, description = "Always `true`.")),
            example = json!(examples::charge()),
        ),
        Problems,
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    admitted: Admitted<Creation>,
    IdempotencyKey(key): IdempotencyKey,
    Body(checked): Body<CreateCharge>,
) -> Result<Response, Error> {
    let Admitted {
        caller,
        permit,
        place: _place,
        deadline,
        ..
    } = admitted;
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
    let new = NewRequest { id, key: &key };
    match accept(&app, &caller, new, &checked).await? {
        CreatedCharge::New => {
            let waiter = app.outcomes.register(id);
            app.orchestrator
                .start_charge(caller.merchant, id, Box::new(permit));
            let charge = waiting.answer(waiter, id).await?;
            Ok((StatusCode::CREATED, Json(charge)).into_response())
        }
        CreatedCharge::Replayed(first) => {
            let charge = waiting.wait_for_outcome(first, permit).await?;
            Ok((StatusCode::CREATED, replayed(true), Json(charge)).into_response())
        }
        CreatedCharge::Open(open) => {
            let charge = waiting.wait_for_outcome(open, permit).await?;
            Ok(([(OPEN_CHARGE_RETURNED, TRUE)], Json(charge)).into_response())
        }
        CreatedCharge::OtherRequest => Err(Error::key_reused()),
        CreatedCharge::PastDue => {
            let expected = "must be a day on which the charge can still be paid";
            Err(wrong_due_date(request, "minimum", expected))
        }
        CreatedCharge::DueTooFar => {
            let expected = "must be at most five years ahead";
            Err(wrong_due_date(request, "maximum", expected))
        }
        CreatedCharge::Conflict(open) => {
            let why = format!("the charge {open} with this reference is still open");
            Err(Error::new(Code::ReferenceInUse, why).about(open))
        }
    }
}

/// Id of the charge that a request may create, and the request's `Idempotency-Key`.
struct NewRequest<'a> {
    id: ChargeId,
    key: &'a str,
}

/// Accepts a charge: inserts it with its key and payer, unless the key or an open charge exists. Nothing is stored if an error is returned.
async fn accept(
    app: &App,
    caller: &Caller<Payments>,
    new: NewRequest<'_>,
    Checked { request, canonical }: &Checked<CreateCharge>,
) -> Result<CreatedCharge, Error> {
    let preview = app
        .orchestrator
        .preview(caller.merchant, caller.mode, request)
        .await?;
    let too_few = request.require_fallback && preview.eligible < WITH_FALLBACK;
    let (routed, lacking) = (preview.routed, lacking(&preview.fallbacks));
    let mut tx = app.store.begin().await?;
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
                "no connection accepts {} in {} mode; nothing was stored",
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
                "only {} connection accepts {}; nothing was stored",
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
            tx.commit().await?;
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
    let unmet = fallbacks.iter().flat_map(|fallback| {
        let gateway = fallback.gateway;
        fallback.unmet.iter().map(move |unmet| {
            FieldError::new(
                &unmet.field,
                "unmet",
                format!("{gateway}: {}", unmet.reason),
            )
        })
    });
    unmet.collect()
}
