//! Unknown outcomes: a create at the gateway may or may not have taken effect.

use serde_json::{Value, json};
use tests::{Options, Stack, api::pix, eventually};

use super::charges::the_payable;

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_found_again_and_the_charge_stays_where_it_is() {
    let stack = Stack::start().await;
    stack
        .efi
        .fault(json!({ "kind": "reset_after", "method": "PUT", "path": "/v2/cob", "times": 1 }))
        .await;
    let charge = stack.api.charge(&pix()).await;
    assert_eq!(charge["gateway"]["kind"], "efi", "{charge}");
    let attempts = stack
        .api
        .attempts(charge["id"].as_str().expect("an id"))
        .await;
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0]["state"], "presented");
    the_payable(&stack).await;
    stack.stop().await;
}

/// Makes the first gateway create while its answer is lost and reads fail: the next gateway's charge is presented, and the orphan is
/// voided.
async fn voids_the_orphan(first: &'static str, create: Value, ask: Value) {
    use schemas::gateway::GatewayKind::{Asaas, Efi, Stripe};
    let (gateways, at) = match first {
        "efi" => (vec![Efi, Asaas], Efi),
        "stripe" => (vec![Stripe, Efi], Stripe),
        _ => (vec![Asaas, Efi], Asaas),
    };
    let stack = Stack::with(Options {
        gateways: gateways.clone(),
        ..Options::default()
    })
    .await;
    stack.simulator(at).fault(create).await;
    stack.simulator(at).fault(ask).await;
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    assert_eq!(charge["status"], "pending", "{charge}");
    assert_eq!(charge["gateway"]["kind"], gateways[1].as_ref(), "{charge}");
    assert_eq!(
        stack.simulator(at).payable().await.len(),
        1,
        "the orphan exists"
    );
    stack.simulator(at).heal().await;
    let (shown_at, _) = the_payable(&stack).await;
    assert_eq!(shown_at, gateways[1]);
    stack.api.until_attempts(id, &["voided", "presented"]).await;
    assert_eq!(
        stack.simulator(at).charges().await.len(),
        1,
        "nothing was created twice"
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_never_leaves_two_codes_payable_after_efi() {
    let create = json!({ "kind": "reset_after", "method": "PUT", "path": "/v2/cob", "times": 1 });
    let ask = json!({ "kind": "status", "status": 503, "method": "GET", "path": "/v2/cob" });
    Box::pin(voids_the_orphan("efi", create, ask)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_never_leaves_two_codes_payable_after_stripe() {
    let create = json!({ "kind": "reset_after", "method": "POST", "path": "/v1/payment_intents", "times": 1 });
    let ask =
        json!({ "kind": "status", "status": 503, "method": "GET", "path": "/v1/payment_intents" });
    Box::pin(voids_the_orphan("stripe", create, ask)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_never_leaves_two_codes_payable_after_asaas() {
    let create =
        json!({ "kind": "malformed", "method": "POST", "path": "/v3/payments", "times": 1 });
    // the search before the create must succeed, or nothing would be created
    let stack_ask = json!({ "kind": "status", "status": 503, "method": "GET", "path": "/v3/payments", "skip": 1 });
    Box::pin(voids_the_orphan("asaas", create, stack_ask)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_that_is_paid_makes_the_charge_paid_and_voids_the_other() {
    let stack = Stack::start().await;
    stack
        .efi
        .fault(json!({ "kind": "reset_after", "method": "PUT", "path": "/v2/cob", "times": 1 }))
        .await;
    stack
        .efi
        .fault(json!({ "kind": "status", "status": 503, "method": "GET", "path": "/v2/cob" }))
        .await;
    stack
        .efi
        .fault(json!({ "kind": "status", "status": 503, "method": "PATCH", "path": "/v2/cob" }))
        .await;
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    assert_eq!(charge["gateway"]["kind"], "stripe", "{charge}");
    let orphan = stack.efi.payable().await.remove(0);
    stack
        .efi
        .pay(orphan["reference"].as_str().expect("a reference"))
        .await;
    stack.efi.heal().await;
    let paid = stack.api.until(id, "paid").await;
    assert_eq!(paid["gateway"]["kind"], "efi", "{paid}");
    stack.api.until_attempts(id, &["paid", "voided"]).await;
    eventually("Stripe's instrument is voided", || async {
        let payable = stack.stripe.payable().await;
        if payable.is_empty() {
            Ok(())
        } else {
            Err(payable)
        }
    })
    .await;
    stack.stop().await;
}
