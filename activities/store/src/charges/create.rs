//! Creation of charges.

use chrono::{DateTime, Utc};
use schemas::{
    charge::{ChargeStatus, CreateCharge},
    gateway::Mode,
    id::{ChargeId, MerchantId, PayerId},
    merchant::{DuplicateReference, MerchantSettings},
    payment_method::Lifetime,
    route::Fallback,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{LockedCharge, Pending, view::payer_place};
use crate::{
    Store, StoreError,
    error::to_json,
    idempotency::{self, KeyClaim},
    payers::{self, PayerKey},
    vault::DataKey,
};

/// Charge to insert.
#[derive(Debug)]
pub struct NewCharge<'a> {
    pub id: ChargeId,
    pub merchant: MerchantId,
    pub mode: Mode,
    pub request: &'a CreateCharge,
    pub idempotency: &'a idempotency::IdempotentRequest,
    /// Settings of the merchant.
    pub settings: &'a MerchantSettings,
}

/// Result of an insert.
#[derive(Debug)]
pub enum CreatedCharge {
    /// A new charge that must be presented.
    New(Box<LockedCharge>),
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

/// Result of claiming the idempotency key of a request.
#[derive(Debug)]
pub enum ClaimedRequest {
    /// A request with a new key, and its payer.
    New(PayerKey),
    /// The request is answered already.
    Answered(CreatedCharge),
}

/// Inserts the idempotency key and the payer, unless the key exists. The caller commits or rolls back, as the result states.
pub async fn claim(
    db: &mut PgConnection,
    store: &Store,
    new: &NewCharge<'_>,
) -> Result<ClaimedRequest, StoreError> {
    let owner = (new.merchant, new.mode);
    let answered = match idempotency::claim(db, owner, new.idempotency, new.id.uuid()).await? {
        KeyClaim::New => wrong_due_date(db, new.request).await?,
        KeyClaim::Same(charge) => Some(CreatedCharge::Replayed(charge.into())),
        KeyClaim::Other => Some(CreatedCharge::OtherRequest),
    };
    if let Some(answered) = answered {
        return Ok(ClaimedRequest::Answered(answered));
    }
    let payer = payers::upsert(db, store, new.merchant, new.mode, &new.request.payer).await?;
    Ok(ClaimedRequest::New(payer))
}

/// Inserts the charge of a request with a new key, unless an open charge has its reference.
pub async fn insert(
    db: &mut PgConnection,
    store: &Store,
    new: &NewCharge<'_>,
    payer: PayerKey,
    fallbacks: Vec<Fallback>,
) -> Result<CreatedCharge, StoreError> {
    let request = new.request;
    let (seconds, until) = match request.payment_method.life() {
        Lifetime::Seconds(seconds) => (seconds, None),
        Lifetime::Until(end) => (0, Some(end)),
    };
    let plain =
        serde_json::to_vec(&request.payer).map_err(|why| StoreError::corrupt("payer", why))?;
    let place = payer_place(new.merchant.uuid(), new.id.uuid());
    let payer_sealed = payer.key.seal(&place, &plain);
    let method = request.payment_method.kind();
    let locked = request
        .reference
        .as_ref()
        .filter(|_| new.settings.duplicate_reference != DuplicateReference::Allow);
    let inserted = sqlx::query!(
        "with clock as materialized (select app_now() as now)
         insert into charges (id, merchant_id, mode, payer_id, payer_sealed, method, payment_method, amount, reference,
                              reference_lock, description, metadata, fallbacks, status, next_check_at, expires_at, created_at)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'processing',
                clock.now + $14 * interval '1 second', coalesce($16, clock.now + $15::float8 * interval '1 second'), clock.now
           from clock
         on conflict (merchant_id, mode, reference_lock)
            where reference_lock is not null and status in ('processing', 'pending', 'overdue') do nothing
         returning created_at, expires_at, next_check_at",
        new.id.uuid(),
        new.merchant.uuid(),
        new.mode.as_ref(),
        payer.id.uuid(),
        payer_sealed,
        method.as_ref(),
        to_json(&request.payment_method),
        request.amount,
        request.reference,
        locked,
        request.description,
        to_json(&request.metadata),
        to_json(&fallbacks),
        FIRST_CHECK_AFTER_S,
        f64::from(i32::try_from(seconds).unwrap_or(i32::MAX)),
        until,
    )
    .fetch_optional(&mut *db)
    .await?;
    if let Some(row) = inserted {
        let merchant_key = store.merchant_key(db, new.merchant.uuid()).await?;
        let sealed = SealedPayer {
            payer,
            payer_sealed,
            merchant_key,
        };
        let times = Inserted {
            created: row.created_at,
            expires: row.expires_at,
            next_check: row.next_check_at,
        };
        let charge = times.charge(new, sealed, fallbacks);
        return Ok(CreatedCharge::New(Box::new(charge)));
    }
    existing(db, new, payer.id).await
}

/// Returns the answer to a request whose reference an open charge has.
async fn existing(
    db: &mut PgConnection,
    new: &NewCharge<'_>,
    payer: PayerId,
) -> Result<CreatedCharge, StoreError> {
    let owner = (new.merchant, new.mode);
    let Some(open) = open_under(db, owner, new.request.reference.as_deref()).await? else {
        return Err(StoreError::corrupt(
            "charges",
            "the open charge of a reference ended meanwhile",
        ));
    };
    let returns_open = new.settings.duplicate_reference == DuplicateReference::ReturnOpen;
    if open.matches_request(new.request, payer) && returns_open {
        idempotency::point_at(db, owner, new.idempotency, open.id).await?;
        return Ok(CreatedCharge::Open(open.id.into()));
    }
    Ok(CreatedCharge::Conflict(open.id.into()))
}

/// Payer of a new charge, sealed.
struct SealedPayer {
    payer: PayerKey,
    payer_sealed: Vec<u8>,
    merchant_key: DataKey,
}

/// Times of an inserted charge.
struct Inserted {
    created: DateTime<Utc>,
    expires: DateTime<Utc>,
    next_check: Option<DateTime<Utc>>,
}

impl Inserted {
    /// Returns the charge. Its row is locked until the transaction ends.
    fn charge(
        self,
        new: &NewCharge<'_>,
        sealed: SealedPayer,
        fallbacks: Vec<Fallback>,
    ) -> LockedCharge {
        let request = new.request;
        let mut charge = LockedCharge {
            id: new.id,
            merchant: new.merchant,
            mode: new.mode,
            payer: sealed.payer.id,
            method: request.payment_method.kind(),
            payment_method: request.payment_method.clone(),
            amount: request.amount,
            reference: request.reference.clone(),
            description: request.description.clone(),
            metadata: request.metadata.clone(),
            fallbacks,
            status: ChargeStatus::Processing,
            amount_paid: 0,
            amount_refunded: 0,
            amount_refund_pending: 0,
            amount_disputed: 0,
            failure: None,
            event_sequence: 0,
            next_check_at: self.next_check,
            checks: 0,
            expires_at: self.expires,
            cancel_requested_at: None,
            created_at: self.created,
            paid_at: None,
            expired_at: None,
            canceled_at: None,
            failed_at: None,
            settings: new.settings.clone(),
            now: self.created,
            attempts: Vec::new(),
            payments: Vec::new(),
            has_disputes: false,
            payer_sealed: sealed.payer_sealed,
            payer_key: Some(sealed.payer.wrapped),
            merchant_key: sealed.merchant_key,
            pending: Pending::default(),
        };
        charge.mark_saved();
        charge
    }
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
