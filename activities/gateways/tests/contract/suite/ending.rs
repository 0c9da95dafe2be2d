//! Promises about the end of charges, and about races between two ends.

use gateways::{GatewayCharge, GatewayStatus};
use serde_json::json;

use crate::bench::Bench;

async fn is_payable(bench: &Bench) -> bool {
    let charges = bench.control.charges(&bench.order.reference).await;
    charges.iter().any(|charge| charge["payable"] == true)
}

pub(crate) async fn a_cancelled_charge_cannot_be_paid(bench: &Bench) {
    let charge = bench.charged().await;
    let ended = bench.gateway.cancel(&charge).await.expect("cancelled");
    assert!(
        matches!(
            ended.status,
            GatewayStatus::Canceled | GatewayStatus::Expired
        ),
        "{ended:?}"
    );
    assert_eq!(ended.next_action, None);
    assert!(!is_payable(bench).await);
}

pub(crate) async fn cancelling_twice_ends_the_same(bench: &Bench) {
    let charge = bench.charged().await;
    let first = bench.gateway.cancel(&charge).await.expect("cancelled");
    let second = bench.gateway.cancel(&charge).await.expect("cancelled");
    assert_eq!(first.status, second.status);
}

pub(crate) async fn a_charge_known_by_its_ids_can_be_cancelled(bench: &Bench) {
    let charge = bench.charged().await;
    let known = GatewayCharge::known(charge.id, &bench.order.reference, bench.order.amount);
    bench.gateway.cancel(&known).await.expect("cancelled");
    assert!(!is_payable(bench).await);
}

pub(crate) async fn a_payment_wins_over_a_cancellation(bench: &Bench) {
    let charge = bench.charged().await;
    bench.control.pay(&bench.order.reference).await;
    let ended = bench.gateway.cancel(&charge).await.expect("an answer");
    assert_eq!(ended.status, GatewayStatus::Paid);
    assert_eq!(ended.payments.len(), 1);
}

pub(crate) async fn a_lost_answer_to_cancelling_is_found_out(bench: &Bench) {
    let charge = bench.charged().await;
    let (_, path) = bench.creates();
    for method in ["PATCH", "PUT", "POST", "DELETE"] {
        let fault = json!({ "times": 1 });
        bench
            .control
            .fault("reset_after", (method, path), fault)
            .await;
    }
    // the next call completes the cancellation, even if this one did not
    let _ = bench.gateway.cancel(&charge).await;
    bench.control.heal().await;
    let ended = bench.gateway.cancel(&charge).await.expect("cancelled");
    assert!(!ended.status.is_payable());
    assert!(!is_payable(bench).await);
}

pub(crate) async fn a_charge_past_its_due_date_is_overdue_and_payable(bench: &Bench) {
    bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.act(reference, "overdue", json!({})).await;
    let found = bench.found().await;
    assert_eq!(found.status, GatewayStatus::Overdue);
    assert!(found.next_action.is_some(), "it can still be paid");
    bench.control.pay(reference).await;
    assert_eq!(bench.found().await.status, GatewayStatus::Paid);
}

pub(crate) async fn a_charge_past_its_last_instant_is_not_payable(bench: &Bench) {
    bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.act(reference, "expire", json!({})).await;
    // some clocks have whole seconds
    bench.control.advance(1).await;
    let found = bench.found().await;
    assert!(!found.status.is_payable(), "{found:?}");
    assert_eq!(found.next_action, None);
}

pub(crate) async fn a_decline_is_a_failure(bench: &Bench) {
    bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.act(reference, "fail", json!({})).await;
    let found = bench.found().await;
    assert_eq!(found.status, GatewayStatus::Failed);
    assert_eq!(found.payments, []);
}
