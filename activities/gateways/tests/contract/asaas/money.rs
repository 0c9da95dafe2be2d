//! Money at Asaas: settled later, refunded by a description, disputed by a status.

use gateways::{GatewayStatus, NoticeKind, RefundStatus};
use schemas::{attempt::ErrorClass, dispute, payment_method::PaymentMethodKind};
use serde_json::json;

use super::{boleto, card, dashboard::Dashboard, pix};
use crate::{
    bench::{Bench, WITHIN},
    receiver::Receiver,
};

/// Longer than the settlement of a card payment, in seconds.
const SETTLED_S: i64 = 40 * 86_400;

async fn paid(bench: &Bench) {
    bench.charged().await;
    bench.control.pay(&bench.order.reference).await;
}

#[tokio::test]
async fn a_confirmed_payment_reports_when_it_settles_and_stays_the_same_once_it_did() {
    for bench in [boleto().await, card().await] {
        paid(&bench).await;
        let confirmed = bench.found().await.payments.remove(0);
        assert!(confirmed.settles_on.is_some());
        assert_eq!(confirmed.settled_on, None);
        assert!(confirmed.fee.is_some_and(|fee| fee > 0));
        bench.control.advance(SETTLED_S).await;
        let received = bench.found().await.payments.remove(0);
        assert!(received.settled_on.is_some());
        assert_eq!(
            (received.id, received.paid_at, received.amount),
            (confirmed.id, confirmed.paid_at, confirmed.amount)
        );
    }
}

#[tokio::test]
async fn a_boleto_paid_with_more_than_was_asked_reports_both_sums() {
    let bench = boleto().await;
    bench.charged().await;
    let late = json!({ "amount": 13_000 });
    bench.control.act(&bench.order.reference, "pay", late).await;
    let found = bench.found().await;
    assert_eq!(found.amount, bench.order.amount);
    assert_eq!(found.payments[0].amount, 13_000);
}

#[tokio::test]
async fn money_on_a_deleted_charge_is_seen() {
    let bench = pix().await;
    let charge = bench.charged().await;
    bench.gateway.cancel(&charge).await.expect("canceled");
    bench.control.pay(&bench.order.reference).await;
    let found = bench.found().await;
    assert_eq!(
        (found.status, found.payments.len()),
        (GatewayStatus::Paid, 1)
    );
}

#[tokio::test]
async fn a_pix_is_in_the_balance_at_once() {
    let bench = pix().await;
    paid(&bench).await;
    let payment = bench.found().await.payments.remove(0);
    assert!(payment.settled_on.is_some());
    assert_eq!(
        (payment.method, payment.fee),
        (PaymentMethodKind::Pix, Some(199))
    );
}

#[tokio::test]
async fn the_same_refund_requested_twice_is_searched_and_made_once() {
    for bench in [pix().await, card().await] {
        assert_eq!(bench.capabilities().refund_idempotent_for, None);
        paid(&bench).await;
        let order = bench.refund_order(Some(1_000)).await;
        let first = bench.gateway.refund(&order, WITHIN).await.expect("done");
        let second = bench.gateway.refund(&order, WITHIN).await.expect("done");
        assert_eq!(first, second);
        assert_eq!(first.reference.as_ref(), Some(&order.reference));
        assert_eq!(bench.found().await.refunds.len(), 1);
    }
}

#[tokio::test]
async fn a_refund_that_waits_for_an_operator_is_pending_and_ends_as_the_operator_decides() {
    for (end, status) in [
        ("done", RefundStatus::Succeeded),
        ("cancelled", RefundStatus::Failed),
    ] {
        let bench = pix().await;
        let waits = json!({ "refund": "awaiting_authorization" });
        bench.control.set(waits).await;
        paid(&bench).await;
        let order = bench.refund_order(None).await;
        let refund = bench.gateway.refund(&order, WITHIN).await.expect("taken");
        assert_eq!(refund.status, RefundStatus::Pending);
        let why = "AWAITING_CRITICAL_ACTION_AUTHORIZATION";
        assert_eq!(refund.reason.as_deref(), Some(why));
        Dashboard::of(&bench)
            .end_refund(&bench.order.reference, end)
            .await;
        let found = bench.gateway.find_refund(&order).await.expect("an answer");
        assert_eq!(found.map(|refund| refund.status), Some(status));
    }
}

#[tokio::test]
async fn a_refund_of_nothing_that_is_there_is_refused_and_not_found() {
    let bench = pix().await;
    paid(&bench).await;
    let mut order = bench.refund_order(None).await;
    order.payment = "pay_0000000000000000".to_owned();
    let done = bench.gateway.refund(&order, WITHIN).await;
    assert_eq!(done.expect_err("absent").class, ErrorClass::Rejected);
    assert_eq!(bench.gateway.find_refund(&order).await, Ok(None));
}

#[tokio::test]
async fn a_chargeback_is_seen_while_it_is_open_and_the_money_is_there_once_it_is_won() {
    let bench = card().await;
    paid(&bench).await;
    let reference = &bench.order.reference;
    for status in [
        dispute::DisputeStatus::NeedsResponse,
        dispute::DisputeStatus::UnderReview,
    ] {
        bench.control.act(reference, "dispute", json!({})).await;
        let found = bench.found().await;
        assert_eq!(found.status, GatewayStatus::Disputed);
        let dispute = &found.disputes[0];
        assert_eq!(
            (dispute.status, dispute.kind, dispute.amount),
            (status, dispute::DisputeKind::Chargeback, bench.order.amount)
        );
        assert_eq!(dispute.payment, found.payments[0].id);
        assert_eq!(found.refunds, []);
    }
    let won = json!({ "won": true });
    bench.control.act(reference, "close_dispute", won).await;
    let found = bench.found().await;
    assert_eq!(
        (found.status, found.disputes),
        (GatewayStatus::Paid, vec![])
    );
}

#[tokio::test]
async fn a_chargeback_is_reported_with_its_payment() {
    let bench = card().await;
    let receiver = Receiver::open().await;
    let gateway = bench.subscribed(&receiver.url).await;
    paid(&bench).await;
    let reference = &bench.order.reference;
    bench.control.act(reference, "dispute", json!({})).await;
    // created, confirmed, disputed
    let all = receiver.at_least(3).await;
    let reported = gateway.notification(&all[2]).expect("genuine").notices;
    let NoticeKind::ChargeState(charge) = &reported[0].means else {
        panic!("{reported:?}")
    };
    assert_eq!(charge.reference.as_ref(), Some(reference));
    assert_eq!((charge.payments.len(), charge.disputes.len()), (1, 1));
}

#[tokio::test]
async fn a_refund_no_one_reported_is_caught_up() {
    let bench = pix().await;
    paid(&bench).await;
    let silently = json!({ "notify": false });
    let reference = &bench.order.reference;
    bench.control.act(reference, "refund", silently).await;
    let yesterday = crate::bench::now() - chrono::TimeDelta::days(1);
    let caught = bench.poll(yesterday).await.expect("a list");
    assert_eq!(caught.len(), 1, "{caught:?}");
    let NoticeKind::ChargeState(charge) = &caught[0].means else {
        panic!("{caught:?}")
    };
    assert_eq!(charge.status, GatewayStatus::Refunded);
    assert_eq!(charge.refunds.len(), 1);
    let tomorrow = crate::bench::now() + chrono::TimeDelta::days(1);
    assert_eq!(bench.poll(tomorrow).await, Ok(Vec::new()));
}
