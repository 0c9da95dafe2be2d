//! Promises about payments, refunds and disputes.

use gateways::{GatewayStatus, NoticeKind, RefundRequest, RefundStatus};
use schemas::{attempt::ErrorClass, calendar, dispute, payment_method::PaymentMethodKind};
use serde_json::json;

use crate::bench::{Bench, WITHIN, now};

/// Longer than a refund is in progress at any gateway, in seconds.
const REFUND_ENDS_S: i64 = 60;
/// Time by which a check reaches back.
const BACK: chrono::TimeDelta = chrono::TimeDelta::hours(1);

async fn paid(bench: &Bench) {
    bench.charged().await;
    bench.control.pay(&bench.order.reference).await;
}

pub(crate) async fn a_payment_is_shown_with_its_money(bench: &Bench) {
    paid(bench).await;
    let found = bench.found().await;
    assert_eq!(found.status, GatewayStatus::Paid);
    assert_eq!(found.next_action, None);
    assert_eq!(found.payments.len(), 1);
    let payment = &found.payments[0];
    assert!(!payment.id.is_empty());
    assert_eq!(payment.amount, bench.order.amount);
    assert_eq!(payment.method, bench.kind());
    if let (Some(fee), Some(net)) = (payment.fee, payment.net) {
        assert_eq!(fee + net, payment.amount);
    }
    // some gateways report only the day
    assert!(calendar::today(payment.paid_at) >= calendar::today(bench.order.created_at - BACK));
    // a second read returns the same
    assert_eq!(bench.found().await.payments, found.payments);
}

/// Sends the refund, and returns it once it has ended.
async fn refunded(bench: &Bench, order: &RefundRequest) -> gateways::GatewayRefund {
    let sent = bench.gateway.refund(order, WITHIN).await.expect("a refund");
    assert_eq!(sent.amount, order.amount);
    bench.control.advance(REFUND_ENDS_S).await;
    sent
}

pub(crate) async fn a_whole_refund_is_shown(bench: &Bench) {
    assert_eq!(bench.capabilities().refundable(), Ok(()));
    paid(bench).await;
    let order = bench.refund_order(None).await;
    refunded(bench, &order).await;
    let found = bench.found().await;
    assert_eq!(found.payments.len(), 1, "the payment is still reported");
    assert_eq!(found.refunds.len(), 1);
    let refund = &found.refunds[0];
    assert_eq!(
        (refund.amount, refund.status),
        (bench.order.amount, RefundStatus::Succeeded)
    );
    assert_eq!(refund.payment, order.payment);
    assert_eq!(found.disputes, []);
}

pub(crate) async fn refunds_in_parts_are_each_shown(bench: &Bench) {
    paid(bench).await;
    for amount in [1_000, 345] {
        let order = bench.refund_order(Some(amount)).await;
        refunded(bench, &order).await;
    }
    let found = bench.found().await;
    let mut amounts: Vec<i64> = found.refunds.iter().map(|refund| refund.amount).collect();
    amounts.sort_unstable();
    assert_eq!(amounts, [345, 1_000]);
    assert_eq!(found.status, GatewayStatus::Paid);
}

pub(crate) async fn a_refund_over_the_sum_is_refused(bench: &Bench) {
    paid(bench).await;
    let order = bench.refund_order(Some(10_000)).await;
    refunded(bench, &order).await;
    let order = bench.refund_order(Some(10_000)).await;
    let done = bench.gateway.refund(&order, WITHIN).await;
    assert_eq!(done.expect_err("too much").class, ErrorClass::Rejected);
    assert_eq!(bench.found().await.refunds.len(), 1);
}

pub(crate) async fn the_same_refund_twice_gives_back_once(bench: &Bench) {
    assert!(bench.capabilities().refund_idempotent_for.is_some());
    paid(bench).await;
    let order = bench.refund_order(Some(1_000)).await;
    let first = refunded(bench, &order).await;
    let second = refunded(bench, &order).await;
    assert_eq!(first.id, second.id);
    assert_eq!(bench.found().await.refunds.len(), 1);
}

pub(crate) async fn a_refund_is_found_by_our_reference(bench: &Bench) {
    paid(bench).await;
    let order = bench.refund_order(Some(1_000)).await;
    let none = bench.gateway.find_refund(&order).await;
    assert_eq!(none, Ok(None));
    let fault = json!({ "times": 1 });
    bench
        .control
        .fault("reset_after", bench.refunds(), fault)
        .await;
    let lost = bench.gateway.refund(&order, WITHIN).await;
    assert_eq!(lost.expect_err("lost").class, ErrorClass::Unknown);
    bench.control.advance(REFUND_ENDS_S).await;
    let found = bench.gateway.find_refund(&order).await.expect("an answer");
    let found = found.expect("the refund");
    assert_eq!(found.reference.as_deref(), Some(order.reference.as_str()));
    assert_eq!(
        (found.amount, found.status),
        (1_000, RefundStatus::Succeeded)
    );
}

pub(crate) async fn a_refund_of_the_dashboard_is_shown_without_our_reference(bench: &Bench) {
    paid(bench).await;
    let how = json!({ "amount": 1_000 });
    bench
        .control
        .act(&bench.order.reference, "refund", how)
        .await;
    let found = bench.found().await;
    assert_eq!(found.refunds.len(), 1);
    assert_eq!(found.refunds[0].amount, 1_000);
    assert_eq!(found.refunds[0].reference, None);
}

pub(crate) async fn what_cannot_be_given_back_is_refused_here(bench: &Bench) {
    let why = bench.capabilities().refundable();
    assert!(why.is_err_and(|why| !why.is_empty()));
    paid(bench).await;
    let order = bench.refund_order(None).await;
    let done = bench.gateway.refund(&order, WITHIN).await;
    assert_eq!(done.expect_err("refused").class, ErrorClass::Rejected);
}

pub(crate) async fn a_dispute_is_seen_and_is_no_refund(bench: &Bench) {
    paid(bench).await;
    let reference = &bench.order.reference;
    bench.control.act(reference, "dispute", json!({})).await;
    let found = bench.found().await;
    assert_eq!(found.disputes.len(), 1);
    let opened = &found.disputes[0];
    assert_eq!(opened.amount, bench.order.amount);
    assert!(opened.status.holds_money());
    assert_eq!(
        opened.kind == dispute::DisputeKind::Med,
        bench.kind() == PaymentMethodKind::Pix
    );
    let lost = json!({ "won": false });
    bench.control.act(reference, "close_dispute", lost).await;
    let found = bench.found().await;
    assert_eq!(found.disputes.len(), 1, "the same dispute");
    assert_eq!(found.disputes[0].id, opened.id);
    assert_eq!(found.disputes[0].status, dispute::DisputeStatus::Lost);
    assert_eq!(found.refunds, []);
}

pub(crate) async fn a_dispute_won_leaves_the_money(bench: &Bench) {
    paid(bench).await;
    let reference = &bench.order.reference;
    bench.control.act(reference, "dispute", json!({})).await;
    let won = json!({ "won": true });
    bench.control.act(reference, "close_dispute", won).await;
    let found = bench.found().await;
    assert_eq!(found.disputes[0].status, dispute::DisputeStatus::Won);
}

pub(crate) async fn a_dispute_no_one_reported_is_caught_up(bench: &Bench) {
    paid(bench).await;
    let reference = &bench.order.reference;
    let silently = json!({ "notify": false });
    bench.control.act(reference, "dispute", silently).await;
    let payment = bench.found().await.payments.remove(0);
    let caught = bench.poll(now() - BACK).await.expect("a list");
    let is_of = |of: &str| of == payment.id || Some(of) == payment.end_to_end_id.as_deref();
    let reported = caught.iter().any(|notice| match &notice.means {
        NoticeKind::Dispute(dispute) => is_of(&dispute.payment),
        NoticeKind::ChargeState(charge) => charge.disputes.iter().any(|of| is_of(&of.payment)),
        _ => false,
    });
    assert!(reported, "{caught:?}");
}
