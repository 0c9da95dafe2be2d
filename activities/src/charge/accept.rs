//! Acceptance of a charge: one transaction writes the idempotency key, the payer, the charge, its plan and its first attempt, which this
//! process leases.

use gateways::ChargeRequest;
use schemas::{
    Instant,
    charge::CreateCharge,
    gateway::Mode,
    id::{ChargeId, MerchantId},
    merchant::MerchantSettings,
    route::{self, Fallback},
};
use store::{
    PgConnection, StoreError,
    charges::{
        self, LockedCharge,
        create::{self, ClaimedRequest, CreatedCharge, NewCharge},
    },
    idempotency::IdempotentRequest,
    routing,
};

use super::{
    open::AttemptCall,
    plan::{Decision, Leasing, Planning, Reach, Route, Routed},
};
use crate::Activities;

/// Minimum number of connections that can take a charge with a required fallback.
const WITH_FALLBACK: usize = 2;

/// Request for a charge.
#[derive(Clone, Copy, Debug)]
pub struct ChargeToAccept<'a> {
    pub merchant: MerchantId,
    pub mode: Mode,
    pub settings: &'a MerchantSettings,
    /// True if the merchant may create charges.
    pub may_create: bool,
    /// Idempotency key.
    pub key: &'a str,
    pub request: &'a CreateCharge,
    /// Canonical form of the request.
    pub canonical: &'a [u8],
}

/// Result of a request for a charge. Only the first three leave anything stored.
#[derive(Debug)]
pub enum Acceptance {
    /// A new charge, which must be started.
    New(ChargeId),
    /// The same request was received before; this is its charge.
    Replayed(ChargeId),
    /// An open charge with this reference matches the request.
    Open(ChargeId),
    /// An open charge with this reference may not be returned for this request.
    Conflict(ChargeId),
    /// The idempotency key was used for another request.
    OtherRequest,
    /// The last payable day has passed.
    PastDue,
    /// The due date is too far ahead.
    DueTooFar,
    /// The merchant may not create charges.
    NotAllowed,
    /// No active connection is routed for the method.
    NotRouted,
    /// No routed connection can take the charge.
    NotEligible(Vec<Fallback>),
    /// A fallback is required, and only this number of connections can take the charge.
    TooFew(usize, Vec<Fallback>),
}

impl Activities {
    /// Accepts a charge. The attempt that its transaction opened is handed to the first activity of this process that asks for the charge.
    pub async fn accept_charge(
        &self,
        wanted: ChargeToAccept<'_>,
    ) -> Result<Acceptance, StoreError> {
        let mut tx = self.store.begin().await?;
        let merchant_key = self
            .store
            .merchant_key(&mut tx, wanted.merchant.uuid())
            .await?;
        let idempotency = IdempotentRequest::new(
            &merchant_key,
            "charges.create",
            wanted.key,
            wanted.canonical,
        );
        let new = NewCharge {
            id: ChargeId(store::new_id()),
            merchant: wanted.merchant,
            mode: wanted.mode,
            request: wanted.request,
            idempotency: &idempotency,
            settings: wanted.settings,
        };
        let payer = match create::claim(&mut tx, &self.store, &new).await? {
            ClaimedRequest::New(payer) => payer,
            ClaimedRequest::Answered(answered) => return Ok(answered.into()),
        };
        let policy = routing::PolicyKey {
            merchant: wanted.merchant,
            mode: wanted.mode,
            method: wanted.request.payment_method.kind(),
        };
        let found = routing::active_connections(&mut tx, policy, payer.id, gateways::api).await?;
        let imagined = imagined(wanted.request, found.now.unwrap_or_default());
        let mut routed = self.routed(&mut tx, found, &imagined, &[]).await?;
        let fallbacks = route::unmet_fallbacks(&routed.candidates);
        let created = create::insert(&mut tx, &self.store, &new, payer, fallbacks).await?;
        let CreatedCharge::New(mut charge) = created else {
            // the idempotency key of an open charge is kept
            if matches!(created, CreatedCharge::Open(_)) {
                tx.commit().await?;
            }
            return Ok(created.into());
        };
        if let Some(refused) = refusal(&wanted, &routed, &charge) {
            return Ok(refused);
        }
        let opened = self
            .open_accepted(&mut tx, &mut charge, &mut routed)
            .await?;
        // a new charge has no events yet
        charges::save(&mut tx, &mut charge).await?;
        tx.commit().await?;
        if let Some(call) = opened {
            self.accepted.lease(charge.id, call);
        }
        Ok(Acceptance::New(charge.id))
    }

    /// Opens the first attempt of a new charge. `None` if its step is more than a call to a healthy gateway with a free slot, or if creating
    /// is not idempotent there: the charge's first activity then decides, or claims the attempt.
    async fn open_accepted(
        &self,
        db: &mut PgConnection,
        charge: &mut LockedCharge,
        routed: &mut Routed,
    ) -> Result<Option<Box<AttemptCall>>, StoreError> {
        let Ok(plan) = self.plan(charge, &[], routed) else {
            return Ok(None);
        };
        let route = Route {
            routed,
            plan: &plan,
        };
        let mut planning = Planning {
            reach: Reach::Healthy,
            leasing: Leasing::IfRepeatable,
            call_slot: None,
        };
        match self.open_along(db, charge, route, &mut planning).await {
            Ok(Some(Decision::Call(call))) => Ok(Some(call)),
            Ok(_) => Ok(None),
            Err(StoreError::Database(error)) => Err(error.into()),
            Err(error) => {
                tracing::error!(charge = %charge.id, %error, "a charge is accepted without a plan");
                Ok(None)
            }
        }
    }
}

/// Returns the reason for refusing a new charge, if any.
fn refusal(
    wanted: &ChargeToAccept<'_>,
    routed: &Routed,
    charge: &LockedCharge,
) -> Option<Acceptance> {
    let active = routed.candidates.iter().any(|found| found.status_active);
    // a connection that cannot be read may be able to take the charge
    let eligible = route::eligible(&routed.candidates) + usize::from(routed.is_partial);
    let fallbacks = || charge.fallbacks.clone();
    if !wanted.may_create {
        Some(Acceptance::NotAllowed)
    } else if !active && !routed.is_partial {
        Some(Acceptance::NotRouted)
    } else if eligible == 0 {
        Some(Acceptance::NotEligible(fallbacks()))
    } else if wanted.request.require_fallback && eligible < WITH_FALLBACK {
        Some(Acceptance::TooFew(eligible, fallbacks()))
    } else {
        None
    }
}

/// Returns the order that the charge becomes if it is created now.
fn imagined(request: &CreateCharge, now: Instant) -> ChargeRequest {
    ChargeRequest {
        reference: String::new(),
        amount: request.amount,
        method: request.payment_method.clone(),
        created_at: now,
        expires_at: request.payment_method.life().end(now),
        payer: request.payer.clone(),
        customer: None,
        description: request.description.clone(),
        notification_url: None,
    }
}

impl From<CreatedCharge> for Acceptance {
    fn from(created: CreatedCharge) -> Self {
        match created {
            CreatedCharge::New(charge) => Self::New(charge.id),
            CreatedCharge::Replayed(first) => Self::Replayed(first),
            CreatedCharge::OtherRequest => Self::OtherRequest,
            CreatedCharge::Open(open) => Self::Open(open),
            CreatedCharge::Conflict(open) => Self::Conflict(open),
            CreatedCharge::PastDue => Self::PastDue,
            CreatedCharge::DueTooFar => Self::DueTooFar,
        }
    }
}
