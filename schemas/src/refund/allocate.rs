//! Allocation of a refund: the payment that it returns, and its amount.

use chrono::TimeDelta;

use super::{CreateRefund, RefundStatus};
use crate::{Instant, charge::ChargeStatus, id::PaymentId, payment_method::PaymentMethodKind};

#[cfg(test)]
mod tests;

/// Days after the payment within which a Pix can be refunded (BACEN).
const PIX_DAYS: i64 = 90;

/// Charge to refund: its status and sums, in centavos, at the time `now`.
#[derive(Clone, Copy, Debug)]
pub struct Refundable {
    pub status: ChargeStatus,
    pub amount_paid: i64,
    pub amount_refunded: i64,
    pub amount_refund_pending: i64,
    pub amount_disputed: i64,
    pub now: Instant,
}

/// Payment of the charge.
#[derive(Clone, Copy, Debug)]
pub struct RefundablePayment {
    pub id: PaymentId,
    pub method: PaymentMethodKind,
    /// Received amount in centavos.
    pub amount: i64,
    /// Sum of its refunds in centavos, as [`reserved`] returns it.
    pub reserved: i64,
    pub paid_at: Instant,
    /// True if the gateway reversed the payment: nothing of it is left.
    pub is_reversed: bool,
}

/// Earlier refund of the charge.
#[derive(Clone, Copy, Debug)]
pub struct GivenRefund {
    pub payment: PaymentId,
    pub status: RefundStatus,
    pub amount: i64,
}

/// Payment that a refund returns, and the refund's amount in centavos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    pub payment: PaymentId,
    pub amount: i64,
}

/// Reason for which a charge cannot be refunded as requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefundRefused {
    #[error("the charge is {status}: nothing was paid")]
    NothingPaid { status: ChargeStatus },
    #[error("is not a payment of this charge")]
    UnknownPayment,
    #[error("the payer disputes the payment: a refund would return the money twice")]
    Disputed,
    #[error("the whole amount was refunded, or is being refunded")]
    NothingLeft,
    #[error("must be at most {left}: the centavos that can still be refunded")]
    TooLarge { left: i64 },
    #[error("a Pix can be refunded within {PIX_DAYS} days after the payment")]
    TooLate,
}

/// Returns the sum of the refunds of a payment, in centavos. Only a failed refund makes its amount refundable again.
pub fn reserved(payment: PaymentId, refunds: &[GivenRefund]) -> i64 {
    let standing = refunds
        .iter()
        .filter(|refund| refund.payment == payment && refund.status != RefundStatus::Failed);
    standing.map(|refund| refund.amount).sum()
}

/// Returns the payment to refund and the amount, which never exceeds the refundable rest of the payment or of the charge.
pub fn allocate(
    charge: &Refundable,
    payments: &[RefundablePayment],
    request: &CreateRefund,
) -> Result<Allocation, RefundRefused> {
    if charge.amount_paid == 0 {
        return Err(RefundRefused::NothingPaid {
            status: charge.status,
        });
    }
    let payment = choose(charge, payments, request)?;
    let left = payment.left().min(charge.left());
    if left <= 0 {
        return Err(charge.nothing_left());
    }
    let amount = request.amount.unwrap_or(left);
    if amount > left {
        return Err(RefundRefused::TooLarge { left });
    }
    let age = charge.now - payment.paid_at;
    if payment.method == PaymentMethodKind::Pix && age > TimeDelta::days(PIX_DAYS) {
        return Err(RefundRefused::TooLate);
    }
    Ok(Allocation {
        payment: payment.id,
        amount,
    })
}

/// Returns the payment that the request names, else the first one that is not fully refunded.
fn choose<'a>(
    charge: &Refundable,
    payments: &'a [RefundablePayment],
    request: &CreateRefund,
) -> Result<&'a RefundablePayment, RefundRefused> {
    let mut payments = payments.iter();
    match request.payment {
        Some(id) => payments
            .find(|payment| payment.id == id)
            .ok_or(RefundRefused::UnknownPayment),
        None => payments
            .find(|payment| payment.left() > 0)
            .ok_or_else(|| charge.nothing_left()),
    }
}

impl RefundablePayment {
    fn left(&self) -> i64 {
        if self.is_reversed {
            0
        } else {
            self.amount - self.reserved
        }
    }
}

impl Refundable {
    fn left(&self) -> i64 {
        self.amount_paid - self.amount_refunded - self.amount_refund_pending - self.amount_disputed
    }

    fn nothing_left(&self) -> RefundRefused {
        if self.status == ChargeStatus::Disputed {
            RefundRefused::Disputed
        } else {
            RefundRefused::NothingLeft
        }
    }
}
