//! Circuit breaker: a failing gateway is skipped, probed, and used again.

use serde_json::{Value, json};
use tests::{Stack, api::pix, eventually};

async fn gateway_and_reason(stack: &Stack) -> (Value, Vec<Value>) {
    let charge = stack.api.charge(&pix()).await;
    let attempts = stack
        .api
        .attempts(charge["id"].as_str().expect("an id"))
        .await;
    (
        charge["gateway"]["kind"].clone(),
        attempts
            .into_iter()
            .map(|attempt| attempt["reason"].clone())
            .collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_gateway_is_skipped_then_probed_then_used_again() {
    let stack = Stack::start().await;
    stack
        .set_breaker(json!({ "consecutive_failures": 3, "open_s": 2, "half_open_successes": 2 }))
        .await;
    stack.efi.down().await;
    for _ in 0..3 {
        assert_eq!(
            gateway_and_reason(&stack).await,
            (json!("stripe"), vec![json!("primary"), json!("fallback")])
        );
    }
    let skipped = gateway_and_reason(&stack).await;
    assert_eq!(
        skipped,
        (json!("stripe"), vec![json!("fallback")]),
        "the open breaker keeps charges away"
    );
    stack.efi.heal().await;
    for _ in 0..2 {
        eventually("a probe goes to Efí and comes back", || async {
            let tried = gateway_and_reason(&stack).await;
            if tried == (json!("efi"), vec![json!("probe")]) {
                Ok(())
            } else {
                Err(tried)
            }
        })
        .await;
    }
    assert_eq!(
        gateway_and_reason(&stack).await,
        (json!("efi"), vec![json!("primary")])
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_open_the_breaker_at_once_and_call_for_a_person() {
    let stack = Stack::start().await;
    stack
        .efi
        .fault(json!({ "kind": "status", "status": 403, "path": "/v2/cob" }))
        .await;
    gateway_and_reason(&stack).await;
    assert_eq!(gateway_and_reason(&stack).await.1, [json!("fallback")]);
    let reported = stack
        .api
        .events("type=gateway_connection.action_required", 1)
        .await;
    assert_eq!(reported.len(), 1, "once");
    stack.stop().await;
}
