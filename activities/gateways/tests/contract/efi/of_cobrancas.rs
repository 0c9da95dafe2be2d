//! What only Efí's API Cobranças promises.

use gateways::{GatewayStatus, RefundOrder};
use schemas::{attempt::ErrorClass, dispute};
use serde_json::json;

use super::{boleto, card};
use crate::bench::WITHIN;

/// Efí keeps no reference of a card's refund.
#[tokio::test]
async fn a_part_of_a_card_given_back_cannot_be_found_and_the_whole_can() {
    let bench = card().await;
    assert_eq!(bench.gateway.refund_idempotent_for(bench.kind()), None);
    bench.charged().await;
    bench.control.pay(&bench.order.reference).await;
    let whole = bench.refund_order(None).await;
    assert_eq!(bench.gateway.find_refund(&whole).await, Ok(None));
    let part = RefundOrder {
        amount: 1_000,
        is_whole: false,
        ..whole.clone()
    };
    let unknown = bench.gateway.find_refund(&part).await;
    assert_eq!(unknown.expect_err("no trace").class, ErrorClass::Unknown);
    let over = bench.refund_order(Some(99_999)).await;
    let done = bench.gateway.refund(&over, WITHIN).await;
    assert_eq!(done.expect_err("too much").class, ErrorClass::Refused);
    let sent = bench.gateway.refund(&whole, WITHIN).await.expect("taken");
    let found = bench.gateway.find_refund(&whole).await.expect("an answer");
    assert_eq!(found, Some(sent.clone()));
    // the same that the charge itself tells
    assert_eq!(bench.found().await.refunds[0].id, sent.id);
}

#[tokio::test]
async fn a_contested_card_is_a_chargeback() {
    let bench = card().await;
    bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.pay(reference).await;
    bench.control.act(reference, "dispute", json!({})).await;
    let found = bench.found().await;
    assert_eq!(found.status, GatewayStatus::Disputed);
    assert_eq!(found.payments.len(), 1);
    assert_eq!(found.disputes[0].kind, dispute::Kind::Chargeback);
    assert!(found.disputes[0].status.holds_money());
}

#[tokio::test]
async fn what_a_boleto_costs_when_late_is_what_was_received() {
    let bench = boleto().await;
    bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.act(reference, "overdue", json!({})).await;
    bench.control.pay(reference).await;
    let found = bench.found().await;
    assert_eq!(found.amount, bench.order.amount);
    assert!(found.payments[0].amount > bench.order.amount);
}
