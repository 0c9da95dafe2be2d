//! Workflows as the activities see them: rows that a workflow serves, and the client that starts and wakes it. `workflows` implements the
//! client, because this crate contains no Temporal client.

use async_trait::async_trait;
use schemas::id::{AttemptId, ChargeId, EndpointId, MerchantId, RefundId};
use store::deliveries::PendingDelivery;

/// Row that a workflow serves.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    Charge(Served<ChargeId>),
    /// Attempt that was abandoned.
    Orphan(Served<AttemptId>),
    Refund(Served<RefundId>),
    Delivery(PendingDelivery),
    Endpoint(Served<EndpointId>),
}

/// Id of a row, with the ids by which its workflow is found.
#[derive(Clone, Copy, Debug)]
pub struct Served<I> {
    pub id: I,
    pub merchant: MerchantId,
    pub charge: Option<ChargeId>,
    pub endpoint: Option<EndpointId>,
}

impl<I> Served<I> {
    /// Returns a row that belongs to a charge.
    pub fn of_charge(merchant: MerchantId, charge: ChargeId, id: I) -> Self {
        Self {
            id,
            merchant,
            charge: Some(charge),
            endpoint: None,
        }
    }
}

impl Subject {
    /// Returns the subject of a charge.
    pub fn charge(merchant: MerchantId, charge: ChargeId) -> Self {
        Self::Charge(Served::of_charge(merchant, charge, charge))
    }

    /// Returns the subject of an abandoned attempt.
    pub fn orphan(merchant: MerchantId, charge: ChargeId, attempt: AttemptId) -> Self {
        Self::Orphan(Served::of_charge(merchant, charge, attempt))
    }

    /// Returns the subject of a refund.
    pub fn refund(merchant: MerchantId, charge: ChargeId, refund: RefundId) -> Self {
        Self::Refund(Served::of_charge(merchant, charge, refund))
    }

    /// Returns the subject of an endpoint.
    pub fn endpoint(merchant: MerchantId, id: EndpointId) -> Self {
        Self::Endpoint(Served {
            id,
            merchant,
            charge: None,
            endpoint: Some(id),
        })
    }
}

/// Outcome of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    Now,
    AlreadyRuns,
    /// Temporal did not answer, or refuses every request.
    Away,
    /// Temporal answered and refused this start, with the reason.
    Refused(&'static str),
}

/// Error of a start or a wake that did not reach a workflow. The row is committed and due: the sweep finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

/// Client that starts and wakes workflows.
#[async_trait]
pub trait Starter: Send + Sync {
    /// Records that Temporal has just answered: callers that treat it as unavailable may call it again.
    fn temporal_is_up(&self);
    /// Starts the workflows of committed deliveries; returns at once.
    fn start_deliveries(&self, due: Vec<PendingDelivery>);
    /// Wakes or starts a workflow in the background; returns at once.
    fn wake_later(&self, subject: Subject);
    /// Starts the workflow of a row.
    async fn start(&self, subject: Subject) -> Started;
    /// Wakes the workflow of a row; returns false if it does not answer.
    async fn wake(&self, subject: Subject) -> bool;
    /// Makes the workflow of a row check it now; starts the workflow if it is closed or unknown.
    async fn wake_or_start(&self, subject: Subject) -> Result<(), Away>;
}
