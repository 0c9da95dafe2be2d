//! What only Efí's API Pix promises.

use gateways::{GatewayStatus, Means, RefundStatus};
use schemas::{attempt::ErrorClass, calendar::is_business_day, dispute};
use serde_json::json;

use super::{pix, pix_by, pix_due};
use crate::bench::{WITHIN, day_in};

#[tokio::test]
async fn a_pix_past_its_due_date_is_overdue_and_payable() {
    let bench = pix_due().await;
    bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.act(reference, "overdue", json!({})).await;
    let found = bench.found().await;
    // a due date on a day off is late a day later
    let yesterday = day_in(0).pred_opt().expect("a day");
    let expected = if is_business_day(yesterday) {
        GatewayStatus::Overdue
    } else {
        GatewayStatus::Pending
    };
    assert_eq!(found.status, expected);
    bench.control.pay(reference).await;
    let found = bench.found().await;
    assert_eq!(found.status, GatewayStatus::Paid);
    assert_eq!(found.amount, bench.order.amount);
    assert!(found.payments[0].amount >= bench.order.amount);
}

#[tokio::test]
async fn an_application_without_the_scope_of_claims_still_sees_what_they_took() {
    let bench = pix_by("no_gn_scope", "/v2/cob/", None).await;
    bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.pay(reference).await;
    bench.control.act(reference, "dispute", json!({})).await;
    let lost = json!({ "won": false });
    bench.control.act(reference, "close_dispute", lost).await;
    let found = bench.found().await;
    assert_eq!(found.disputes.len(), 1);
    assert_eq!(found.disputes[0].status, dispute::Status::Lost);
    assert_eq!(found.refunds, []);
}

#[tokio::test]
async fn an_expired_token_is_renewed_and_nobody_notices() {
    let bench = pix().await;
    bench.control.set(json!({ "token_ttl_s": 60 })).await;
    bench.charged().await;
    bench.control.advance(120).await;
    assert_eq!(bench.found().await.status, GatewayStatus::Pending);
}

#[tokio::test]
async fn a_refused_certificate_is_denied() {
    let bench = pix().await;
    let fault = json!({ "kind": "certificate_refused" });
    bench.control.post("faults", fault).await;
    let done = bench.gateway.charge(&bench.order, WITHIN).await;
    assert_eq!(done.expect_err("refused").class, ErrorClass::Denied);
}

#[tokio::test]
async fn a_refund_that_was_not_done_has_failed() {
    let bench = pix().await;
    let settings = json!({ "refund_end": "NAO_REALIZADO" });
    bench.control.set(settings).await;
    bench.charged().await;
    bench.control.pay(&bench.order.reference).await;
    let order = bench.refund_order(Some(1_000)).await;
    let sent = bench.gateway.refund(&order, WITHIN).await.expect("taken");
    assert_eq!(sent.status, RefundStatus::Pending);
    bench.control.advance(60).await;
    let found = bench.gateway.find_refund(&order).await.expect("an answer");
    let found = found.expect("the refund");
    assert_eq!(found.status, RefundStatus::Failed);
    assert!(found.reason.is_some());
}

#[tokio::test]
async fn a_refund_of_a_pix_that_came_before_is_caught_up() {
    let bench = pix().await;
    bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.pay(reference).await;
    let since = bench.found().await.payments[0].paid_at + chrono::TimeDelta::milliseconds(1);
    let silently = json!({ "amount": 1_000, "notify": false });
    bench.control.act(reference, "refund", silently).await;
    let caught = bench.catch_up(since).await.expect("a list");
    assert_eq!(caught.len(), 1, "{caught:?}");
    assert_eq!(caught[0].reference.as_ref(), Some(reference));
    let Means::Refund(refund) = &caught[0].means else {
        panic!("{caught:?} tells no refund")
    };
    assert_eq!(refund.amount, 1_000);
}
