//! Outcomes of the create request, selected by its amount, and the object that it creates.

use schemas::{Instant, payment_method::PaymentMethodKind};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::ChargeRequest;

/// Outcome of a create request (`README.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Shown,
    PaidAtOnce,
    Rejected,
    Declined,
    AnswerLost,
    RequestLost,
    Slow,
    Failing,
    Throttled,
    Denied,
    Unreachable,
}

impl Script {
    /// Returns the outcome that an amount in centavos selects.
    pub(super) fn of(amount: i64) -> Self {
        match amount {
            90_001 => Self::PaidAtOnce,
            90_002 => Self::Rejected,
            90_003 => Self::Declined,
            90_004 => Self::AnswerLost,
            90_005 => Self::RequestLost,
            90_006 => Self::Slow,
            90_007 => Self::Failing,
            90_008 => Self::Throttled,
            90_009 => Self::Denied,
            90_010 => Self::Unreachable,
            _ => Self::Shown,
        }
    }
}

/// Charge as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Object {
    pub reference: String,
    pub amount: i64,
    pub method: PaymentMethodKind,
    pub expires_at: Instant,
    pub status: ObjectStatus,
    /// Our notification address, which also pays it.
    pub notification_url: Option<Url>,
    pub paid_at: Option<Instant>,
    #[serde(default)]
    pub refunds: Vec<ObjectRefund>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ObjectStatus {
    Pending,
    Paid,
    Canceled,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ObjectRefund {
    pub reference: String,
    pub amount: i64,
    pub created_at: Instant,
}

impl Object {
    /// Returns the object of an order.
    pub(super) fn of(order: &ChargeRequest, now: Instant) -> Self {
        let mut object = Self {
            reference: order.reference.clone(),
            amount: order.amount,
            method: order.method.kind(),
            expires_at: order.expires_at,
            status: ObjectStatus::Pending,
            notification_url: order.notification_url.clone(),
            paid_at: None,
            refunds: Vec::new(),
        };
        if Script::of(order.amount) == Script::PaidAtOnce {
            object.pay(now);
        }
        object
    }

    /// Pays it, if it is payable.
    pub(super) fn pay(&mut self, now: Instant) {
        if self.status == ObjectStatus::Pending && now <= self.expires_at {
            self.status = ObjectStatus::Paid;
            self.paid_at = Some(now);
        }
    }

    /// Makes it unpayable, unless it is paid.
    pub(super) fn cancel(&mut self) {
        if self.status == ObjectStatus::Pending {
            self.status = ObjectStatus::Canceled;
        }
    }
}
