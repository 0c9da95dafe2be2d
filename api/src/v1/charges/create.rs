//! `POST /v1/charges`.

use activities::charge::{Acceptance, ChargeToAccept};
use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode},
    response::{IntoResponse, Response},
};
use schemas::{
    charge::CreateCharge, payment_method::PaymentMethodKind, problem::FieldError, route::Fallback,
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
        key: &key,
        request,
        canonical: &checked.canonical,
    };
    match Box::pin(app.orchestrator.activities.accept_charge(wanted)).await? {
        Acceptance::New(id) => {
            let waiter = app.outcomes.register(id);
            app.orchestrator
                .start_charge(caller.merchant, id, Box::new(permit));
            let charge = waiting.answer(waiter, id).await?;
            Ok((StatusCode::CREATED, Json(charge)).into_response())
        }
        Acceptance::Replayed(first) => {
            let charge = waiting.wait_for_outcome(first, permit).await?;
            Ok((StatusCode::CREATED, replayed(true), Json(charge)).into_response())
        }
        Acceptance::Open(open) => {
            let charge = waiting.wait_for_outcome(open, permit).await?;
            Ok(([(OPEN_CHARGE_RETURNED, TRUE)], Json(charge)).into_response())
        }
        refused => Err(refusal(&caller, request, refused)),
    }
}

/// Returns the error for a request that was not accepted. Nothing was stored.
fn refusal(caller: &Caller<Payments>, request: &CreateCharge, refused: Acceptance) -> Error {
    let method = request.payment_method.kind();
    match refused {
        Acceptance::PastDue => {
            let expected = "must be a day on which the charge can still be paid";
            wrong_due_date(request, "minimum", expected)
        }
        Acceptance::DueTooFar => {
            wrong_due_date(request, "maximum", "must be at most five years ahead")
        }
        Acceptance::Conflict(open) => {
            let why = format!("the charge {open} with this reference is still open");
            Error::new(Code::ReferenceInUse, why).about(open)
        }
        Acceptance::NotAllowed => caller.not_active(),
        Acceptance::NotRouted => {
            let why = format!(
                "no connection accepts {method} in {} mode; nothing was stored",
                caller.mode
            );
            Error::new(Code::NoGatewayConnection, why)
        }
        Acceptance::NotEligible(fallbacks) => {
            Error::fields(Code::NoEligibleGateway, lacking(&fallbacks))
        }
        Acceptance::TooFew(eligible, fallbacks) if fallbacks.is_empty() => {
            let why = format!("only {eligible} connection accepts {method}; nothing was stored");
            Error::new(Code::FallbackRequired, why)
        }
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
