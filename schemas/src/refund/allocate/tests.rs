use chrono::DateTime;
use proptest::{option, prelude::*};
use uuid::Uuid;

use super::*;

const PAID_AT: Instant = DateTime::UNIX_EPOCH;

fn id(n: u128) -> PaymentId {
    PaymentId(Uuid::from_u128(n))
}

fn paid(amount: i64) -> Refundable {
    Refundable {
        status: ChargeStatus::Paid,
        amount_paid: amount,
        amount_refunded: 0,
        amount_refund_pending: 0,
        amount_disputed: 0,
        now: PAID_AT,
    }
}

fn payment(n: u128, amount: i64) -> RefundablePayment {
    RefundablePayment {
        id: id(n),
        method: PaymentMethodKind::Pix,
        amount,
        reserved: 0,
        paid_at: PAID_AT,
        is_reversed: false,
    }
}

fn of(amount: Option<i64>, payment: Option<PaymentId>) -> CreateRefund {
    CreateRefund {
        amount,
        payment,
        ..CreateRefund::default()
    }
}

fn allocation(n: u128, amount: i64) -> Allocation {
    Allocation {
        payment: id(n),
        amount,
    }
}

#[test]
fn a_refund_without_an_amount_returns_the_rest_of_the_first_payment_that_has_one() {
    let charge = Refundable {
        amount_refunded: 1_000,
        ..paid(3_000)
    };
    let full = RefundablePayment {
        reserved: 1_000,
        ..payment(1, 1_000)
    };
    let payments = [full, payment(2, 2_000)];
    assert_eq!(
        allocate(&charge, &payments, &of(None, None)),
        Ok(allocation(2, 2_000))
    );
    assert_eq!(
        allocate(&charge, &payments, &of(None, Some(id(1)))),
        Err(RefundRefused::NothingLeft)
    );
    assert_eq!(
        allocate(&charge, &payments, &of(Some(1), Some(id(3)))),
        Err(RefundRefused::UnknownPayment)
    );
}

#[test]
fn a_reversed_payment_is_never_refunded() {
    let reversed = RefundablePayment {
        is_reversed: true,
        ..payment(1, 1_000)
    };
    let payments = [reversed, payment(2, 500)];
    assert_eq!(
        allocate(&paid(500), &payments, &of(None, None)),
        Ok(allocation(2, 500))
    );
    assert_eq!(
        allocate(&paid(500), &payments, &of(None, Some(id(1)))),
        Err(RefundRefused::NothingLeft)
    );
}

#[test]
fn what_the_payer_disputes_is_not_refunded_too() {
    let disputed = Refundable {
        status: ChargeStatus::Disputed,
        amount_disputed: 1_000,
        ..paid(1_000)
    };
    assert_eq!(
        allocate(&disputed, &[payment(1, 1_000)], &of(None, None)),
        Err(RefundRefused::Disputed)
    );
}

#[test]
fn a_charge_without_money_is_refused_with_its_status() {
    let pending = Refundable {
        status: ChargeStatus::Pending,
        ..paid(0)
    };
    let refused = allocate(&pending, &[], &of(None, None)).expect_err("nothing was paid");
    assert_eq!(
        refused.to_string(),
        "the charge is pending: nothing was paid"
    );
}

#[test]
fn a_pix_is_refunded_for_90_days_and_a_card_for_longer() {
    let late = |days| Refundable {
        now: PAID_AT + TimeDelta::days(days),
        ..paid(1_000)
    };
    let pix = [payment(1, 1_000)];
    assert_eq!(
        allocate(&late(90), &pix, &of(None, None)),
        Ok(allocation(1, 1_000))
    );
    assert_eq!(
        allocate(&late(91), &pix, &of(None, None)),
        Err(RefundRefused::TooLate)
    );
    let card = [RefundablePayment {
        method: PaymentMethodKind::Card,
        ..pix[0]
    }];
    assert_eq!(
        allocate(&late(91), &card, &of(None, None)),
        Ok(allocation(1, 1_000))
    );
}

#[test]
fn only_a_failed_refund_frees_its_amount() {
    let refund = |status, amount| GivenRefund {
        payment: id(1),
        status,
        amount,
    };
    let refunds = [
        refund(RefundStatus::Pending, 1),
        refund(RefundStatus::Succeeded, 10),
        refund(RefundStatus::NeedsReview, 100),
        refund(RefundStatus::Failed, 1_000),
    ];
    assert_eq!(reserved(id(1), &refunds), 111);
    assert_eq!(reserved(id(2), &refunds), 0);
}

prop_compose! {
    fn any_payment()(n in 1..4_u128, amount in 1..1_000_i64, reserved in 0..1_000_i64, is_reversed: bool) -> RefundablePayment {
        RefundablePayment { reserved: reserved.min(amount), is_reversed, ..payment(n, amount) }
    }
}

prop_compose! {
    fn any_charge()(amount_paid in 0..2_000_i64, refunded in 0..1_000_i64, pending in 0..1_000_i64, disputed in 0..1_000_i64) -> Refundable {
        Refundable { amount_refunded: refunded, amount_refund_pending: pending, amount_disputed: disputed, ..paid(amount_paid) }
    }
}

proptest! {
    #[test]
    fn a_refund_never_exceeds_the_rest_of_its_payment_or_of_the_charge(
        charge in any_charge(),
        payments in prop::collection::vec(any_payment(), 0..4),
        amount in option::of(1..2_000_i64),
        chosen in option::of(1..4_u128),
    ) {
        let request = of(amount, chosen.map(id));
        if let Ok(allocation) = allocate(&charge, &payments, &request) {
            let payment = payments.iter().find(|p| p.id == allocation.payment && p.left() >= allocation.amount);
            prop_assert!(payment.is_some_and(|p| !p.is_reversed));
            prop_assert!(allocation.amount > 0 && allocation.amount <= charge.left());
            prop_assert!(amount.is_none_or(|amount| amount == allocation.amount));
            prop_assert!(chosen.is_none_or(|chosen| id(chosen) == allocation.payment));
        }
    }
}
