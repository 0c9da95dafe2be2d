//! Charges: created once, shown as they stand, canceled.

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use schemas::{
    charge::{Charge, CreateCharge, Status},
    id::ChargeId,
    merchant::Permission,
    page::Page,
    payment_method::Kind,
    problem::FieldError,
    route::Fallback,
    timeline::Timeline,
};
use store::{
    StoreError,
    charges::{
        self,
        create::{self, Created},
        list::Filter,
    },
    idempotency,
    listen::Waiter,
    timeline,
};
use tokio::time::Instant;

use crate::{
    App, Code, Error,
    admission::{Permit, Work},
    auth::{Caller, authenticate},
    input::{Body, Params, needed_idempotency_key, path_id},
};

/// Tells that the answer is an earlier request's.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// What two connections make possible.
const WITH_FALLBACK: usize = 2;

/// `POST /v1/charges`: 201 with the charge as it stands, at the latest after `answer_within`.
pub async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    let deadline = Instant::now() + app.config.answer_within;
    let permit = app.admission.enter(Work::Create, &headers).await?;
    let caller = authenticate(&app, &headers, Permission::Payments).await?;
    let _place = app.admission.place(Work::Create, caller.merchant)?;
    let key = needed_idempotency_key(&headers)?;
    let request = app
        .charges
        .check(body.json()?)
        .map_err(|errors| Error::fields(Code::InvalidRequest, errors))?;
    let wrong = request.payment_method.check(request.amount);
    if !wrong.is_empty() {
        return Err(Error::fields(Code::InvalidRequest, wrong));
    }
    let id = ChargeId(store::new_id());
    let waiting = Waiting {
        app: &app,
        caller: &caller,
        headers: &headers,
        deadline,
    };
    match insert(&app, &caller, (id, key), &request).await? {
        Created::New => {
            let waiter = app.outcomes.register(id);
            app.orchestrator
                .begin_charge(caller.merchant, id, Box::new(permit));
            waiting.answer(waiter, id).await.map(created)
        }
        Created::Replayed(first) => {
            let shown = waiting.settled(first, permit).await?;
            let mut response = created(shown);
            response
                .headers_mut()
                .insert(REPLAYED, HeaderValue::from_static("true"));
            Ok(response)
        }
        Created::Open(open) => Ok(Json(waiting.settled(open, permit).await?).into_response()),
        Created::OtherRequest => Err(Error::new(
            Code::IdempotencyKeyReused,
            "this Idempotency-Key came with another body before; nothing was stored",
        )),
        Created::PastDue => Err(past_due(&request)),
        Created::Conflict(open) => Err(Error::new(
            Code::ReferenceInUse,
            format!("the charge {open} with this reference is still open"),
        )
        .about(open)),
    }
}

async fn insert(
    app: &App,
    caller: &Caller,
    (id, key): (ChargeId, &str),
    request: &CreateCharge,
) -> Result<Created, Error> {
    caller.may_create()?;
    let preview = app
        .orchestrator
        .preview(caller.merchant, caller.mode, request)
        .await?;
    let too_few = request.require_fallback && preview.eligible < WITH_FALLBACK;
    let (routed, lacking) = (preview.routed, lacking(&preview.fallbacks));
    let mut tx = app.store.pool.begin().await.map_err(StoreError::from)?;
    let merchant_key = app
        .store
        .merchant_key(&mut tx, caller.merchant.uuid())
        .await?;
    let canonical =
        serde_json::to_vec(request).map_err(|why| StoreError::corrupt("request", why))?;
    let new = create::New {
        id,
        merchant: caller.merchant,
        mode: caller.mode,
        request,
        idempotency: &idempotency::Request::new(&merchant_key, "charges.create", key, &canonical),
        duplicate_reference: caller.settings.duplicate_reference,
        fallbacks: &preview.fallbacks,
    };
    let created = create::insert(&mut tx, &app.store, &new).await?;
    // a repeat of a request that was taken is answered, whatever has become of the routes since
    match created {
        Created::New if routed == 0 => Err(Error::new(
            Code::NoGatewayConnection,
            format!(
                "no connection takes {} in {} mode; nothing was stored",
                request.payment_method.kind(),
                caller.mode
            ),
        )),
        Created::New if preview.eligible == 0 => {
            Err(Error::fields(Code::NoEligibleGateway, lacking))
        }
        Created::New if too_few && lacking.is_empty() => Err(Error::new(
            Code::FallbackRequired,
            format!(
                "only {} connection takes {}; nothing was stored",
                preview.eligible,
                request.payment_method.kind()
            ),
        )),
        Created::New if too_few => Err(Error::fields(Code::FallbackRequired, lacking)),
        Created::OtherRequest | Created::Conflict(_) | Created::PastDue => Ok(created),
        Created::New | Created::Replayed(_) | Created::Open(_) => {
            tx.commit().await.map_err(StoreError::from)?;
            Ok(created)
        }
    }
}

fn past_due(request: &CreateCharge) -> Error {
    let field = match request.payment_method.kind() {
        Kind::Pix => "payment_method.due.due_date",
        Kind::Boleto | Kind::Card => "payment_method.due_date",
    };
    let wrong = FieldError::new(
        field,
        "minimum",
        "must be such that it can still be paid today",
    );
    Error::fields(Code::InvalidRequest, vec![wrong])
}

/// What the gateways want, as field errors.
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

/// A caller who waits for a charge's outcome, without a permit and without a connection to the database.
struct Waiting<'a> {
    app: &'a App,
    caller: &'a Caller,
    headers: &'a HeaderMap,
    deadline: Instant,
}

impl Waiting<'_> {
    /// Waits for a charge that came before, and starts it if that never happened.
    async fn settled(&self, id: ChargeId, permit: Permit) -> Result<Charge, Error> {
        let waiter = self.app.outcomes.register(id);
        let shown = show(self.app, self.caller, id).await?;
        if shown.status != Status::Processing {
            return Ok(shown);
        }
        self.app
            .orchestrator
            .begin_charge(self.caller.merchant, id, Box::new(permit));
        self.answer(waiter, id).await
    }

    async fn answer(&self, mut waiter: Waiter, id: ChargeId) -> Result<Charge, Error> {
        waiter.settled(self.deadline).await;
        let _permit = self.app.admission.answer(self.headers).await;
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

/// `GET /v1/charges`: newest first; `reference` and `status` filter.
pub async fn list(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<Charge>>, Error> {
    let caller = authenticate(&app, &headers, Permission::Read).await?;
    let mut params = Params::new(query.as_deref());
    let range = params.range(ChargeId::uuid);
    let filter = Filter {
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

/// `POST /v1/charges/{id}/cancel`: 200 with the charge as it ended, which may be paid; 202 while the gateway has not answered.
pub async fn cancel(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let deadline = Instant::now() + app.config.answer_within;
    let permit = app.admission.enter(Work::Change, &headers).await?;
    let caller = authenticate(&app, &headers, Permission::Payments).await?;
    let _place = app.admission.place(Work::Change, caller.merchant)?;
    let id = path_id(&id, "charge")?;
    let mut waiter = app.outcomes.register(id);
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let asked = charges::request_cancel(&mut db, caller.merchant, caller.mode, id).await?;
    drop(db);
    if !asked {
        let shown = show(&app, &caller, id).await?;
        if shown.status == Status::Canceled {
            return Ok(Json(shown).into_response());
        }
        return Err(Error::new(
            Code::ChargeNotCancelable,
            format!("the charge is {}", shown.status),
        )
        .about(id));
    }
    let (orchestrator, merchant) = (app.orchestrator.clone(), caller.merchant);
    app.tracker
        .spawn(async move { orchestrator.poke_charge(merchant, id).await });
    drop(permit);
    let ended = waiter.until(deadline, Status::is_final).await;
    let status = if ended.is_some() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let _permit = app.admission.answer(&headers).await;
    Ok((status, Json(show(&app, &caller, id).await?)).into_response())
}

/// `GET /v1/charges/{id}/timeline`: everything that happened to it, oldest first.
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
