//! Cancel and expiry of charges: the gateway is canceled first, and a payment wins.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Stack, api::pix, eventually};

async fn cancel(stack: &Stack, charge: &Value) -> tests::api::Answer {
    let id = charge["id"].as_str().expect("an id");
    stack
        .api
        .post(&format!("/v1/charges/{id}/cancel"), &json!({}))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canceled_charge_can_no_longer_be_paid_at_its_gateway() {
    let stack = Stack::start().await;
    let charge = stack.api.charge(&pix()).await;
    let canceled = cancel(&stack, &charge).await.expect(200);
    assert_eq!(canceled["status"], "canceled");
    assert!(stack.efi.payable().await.is_empty());
    stack
        .merchant_server
        .received("charge.canceled", charge["id"].as_str().expect("an id"))
        .await;
    assert_eq!(
        cancel(&stack, &charge).await.expect(200)["id"],
        charge["id"],
        "canceling again changes nothing"
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_under_a_key_is_done_once_and_its_repeat_answers_what_came_of_it() {
    let stack = Stack::start().await;
    let (charge, other) = (
        stack.api.charge(&pix()).await,
        stack.api.charge(&pix()).await,
    );
    let cancel = async |charge: &Value| {
        let path = format!(
            "/v1/charges/{}/cancel",
            charge["id"].as_str().expect("an id")
        );
        stack
            .api
            .send(Method::POST, &path, Some("k"), Some(&json!({})))
            .await
    };
    let first = cancel(&charge).await;
    assert!(!first.headers.contains_key("idempotent-replayed"));
    assert_eq!(first.expect(200)["status"], "canceled");
    let again = cancel(&charge).await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.expect(200)["status"], "canceled");
    assert_eq!(
        cancel(&other).await.expect(422)["code"],
        "idempotency_key_reused"
    );
    let id = other["id"].as_str().expect("an id");
    assert_eq!(stack.api.show(id).await["status"], "pending");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_racing_payment_ends_paid() {
    let stack = Stack::start().await;
    let charge = stack.api.charge(&pix()).await;
    stack
        .efi
        .pay_silently(
            stack.efi.charges().await[0]["reference"]
                .as_str()
                .expect("a reference"),
        )
        .await;
    let ended = cancel(&stack, &charge).await.expect(200);
    assert_eq!(ended["status"], "paid");
    assert_eq!(ended["amount_paid"], 12345);
    assert_eq!(
        cancel(&stack, &charge).await.expect(409)["code"],
        "charge_not_cancelable"
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn canceling_waits_for_a_gateway_that_does_not_answer() {
    let stack = Stack::start().await;
    let charge = stack.api.charge(&pix()).await;
    stack
        .efi
        .fault(json!({ "kind": "status", "status": 503, "times": 2 }))
        .await;
    assert_eq!(
        cancel(&stack, &charge).await.expect(200)["status"],
        "canceled"
    );
    eventually("nothing is payable", || async {
        let payable = stack.efi.payable().await;
        if payable.is_empty() {
            Ok(())
        } else {
            Err(payable)
        }
    })
    .await;
    stack.stop().await;
}
