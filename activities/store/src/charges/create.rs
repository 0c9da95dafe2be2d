//! Creation of charges.

use schemas::{
    charge::CreateCharge,
    gateway::Mode,
    id::{ChargeId, MerchantId, PayerId},
    merchant::DuplicateReference,
    payment_method::Lifetime,
    route::Fallback,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::view::payer_place;
use crate::{
    Store, StoreError,
    error::to_json,
    idempotency::{self, KeyClaim},
    payers,
};

/// Charge to insert.
#[derive(Debug)]
pub struct NewCharge<'a> {
    pub id: ChargeId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub request: &'a CreateCharge,
    pub idempotency: &'a idempotency::IdempotentRequest,
    pub duplicate_reference: DuplicateReference,
    pub fallbacks: &'a [Fallback],
}

/// Result of an insert.
#[derive(Debug)]
pub enum CreatedCharge {
    /// A new charge that must be presented.
    New,
    /// The same request was received before; this is its charge.
    Replayed(ChargeId),
    /// The idempotency key was used for another request. Nothing was written; roll back.
    OtherRequest,
    /// A charge with this reference is open and matches the request.
    Open(ChargeId),
    /// A charge with this reference is open and may not be returned for this request. Roll back.
    Conflict(ChargeId),
    /// The last payable day has passed. Roll back.
    PastDue,
    /// The due date is too far ahead. Roll back.
    DueTooFar,
}

/// Seconds that a committed charge may have no attempt before the sweep checks it.
const FIRST_CHECK_AFTER_S: f64 = 60.0;

/// Inserts the idempotency key, the payer and the charge, unless the key or an open charge exists. The caller commits or rolls back, as the
/// result states.
pub async fn insert(
    db: &mut PgConnection,
    store: &Store,
    new: &NewCharge<'_>,
) -> Result<CreatedCharge, StoreError> {
    let owner = (new.merchant, new.mode);
    match idempotency::claim(db, owner, new.idempotency, new.id.uuid()).await? {
        KeyClaim::New => {}
        KeyClaim::Same(charge) => return Ok(CreatedCharge::Replayed(charge.into())),
        KeyClaim::Other => return Ok(CreatedCharge::OtherRequest),
    }
    let request = new.request;
    if let Some(refused) = wrong_due_date(db, request).await? {
        return Ok(refused);
    }
    let (seconds, until) = match request.payment_method.life() {
        Lifetime::Seconds(seconds) => (seconds, None),
        Lifetime::Until(end) => (0, Some(end)),
    };
    let (payer, key) = payers::upsert(db, store, new.merchant, new.mode, &request.payer).await?;
    let plain =
        serde_json::to_vec(&request.payer).map_err(|why| StoreError::corrupt("payer", why))?;
    let method = request.payment_method.kind();
    let locked = request
        .reference
        .as_ref()
        .filter(|_| new.duplicate_reference != DuplicateReference::Allow);
    let inserted = sqlx::query!(
        "with clock as materialized (select app_now() as now)
         insert into charges (id, merchant_id, mode, payer_id, payer_sealed, method, payment_method, amount, reference,
                              reference_lock, description, metadata, fallbacks, status, next_check_at, expires_at, created_at)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'processing',
                clock.now + $14 * interval '1 second', coalesce($16, clock.now + $15::float8 * interval '1 second'), clock.now
           from clock
         on conflict (merchant_id, mode, reference_lock)
            where reference_lock is not null and status in ('processing', 'pending', 'overdue') do nothing",
        new.id.uuid(),
        new.merchant.uuid(),
        new.mode.as_ref(),
        payer.uuid(),
        key.seal(&payer_place(new.merchant.uuid(), new.id.uuid()), &plain),
        method.as_ref(),
        to_json(&request.payment_method),
        request.amount,
        request.reference,
        locked,
        request.description,
        to_json(&request.metadata),
        to_json(&new.fallbacks),
        FIRST_CHECK_AFTER_S,
        f64::from(i32::try_from(seconds).unwrap_or(i32::MAX)),
        until,
    )
    .execute(&mut *db)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(CreatedCharge::New);
    }
    let Some(open) = open_under(db, owner, locked.map(String::as_str)).await? else {
        return Err(StoreError::corrupt(
            "charges",
            "the open charge of a reference ended meanwhile",
        ));
    };
    if open.matches_request(request, payer)
        && new.duplicate_reference == DuplicateReference::ReturnOpen
    {
        idempotency::point_at(db, owner, new.idempotency, open.id).await?;
        return Ok(CreatedCharge::Open(open.id.into()));
    }
    Ok(CreatedCharge::Conflict(open.id.into()))
}

/// Open charge that reserves its reference.
struct Open {
    id: Uuid,
    payer_id: Uuid,
    method: String,
    amount: i64,
}

impl Open {
    /// Returns true if the request is a repetition of the same order, such as a reloaded checkout page. Another amount, method or payer
    /// (identified by the digest of the document) makes it another order with the same reference.
    fn matches_request(&self, request: &CreateCharge, payer: PayerId) -> bool {
        self.amount == request.amount
            && self.method == request.payment_method.kind().as_ref()
            && self.payer_id == payer.uuid()
    }
}

/// Returns the error of the request's due date at this moment, if any.
async fn wrong_due_date(
    db: &mut PgConnection,
    request: &CreateCharge,
) -> Result<Option<CreatedCharge>, StoreError> {
    let Some(due) = request.payment_method.due() else {
        return Ok(None);
    };
    let now = crate::now(db).await?;
    Ok(if due.payable_until() <= now {
        Some(CreatedCharge::PastDue)
    } else if due.is_too_far(now) {
        Some(CreatedCharge::DueTooFar)
    } else {
        None
    })
}

async fn open_under(
    db: &mut PgConnection,
    (merchant, mode): (MerchantId, Mode),
    reference: Option<&str>,
) -> Result<Option<Open>, StoreError> {
    Ok(sqlx::query_as!(
        Open,
        "select id, payer_id, method, amount from charges
          where merchant_id = $1 and mode = $2 and reference_lock = $3 and status in ('processing', 'pending', 'overdue')",
        merchant.uuid(),
        mode.as_ref(),
        reference,
    )
    .fetch_optional(db)
    .await?)
}
