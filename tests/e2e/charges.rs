//! A charge from its request to its payment, at each gateway.

use schemas::{br_code::BrCode, gateway::GatewayKind};
use serde_json::{Value, json};
use strum::IntoEnumIterator;
use tests::{Options, Stack, api::pix, eventually};

/// Returns the only payable instrument among all gateways. Fails if there is another.
pub(crate) async fn the_payable(stack: &Stack) -> (GatewayKind, Value) {
    eventually("exactly one instrument is payable", || async {
        let mut payable = Vec::new();
        for gateway in GatewayKind::iter() {
            payable.extend(
                stack
                    .simulator(gateway)
                    .payable()
                    .await
                    .into_iter()
                    .map(|charge| (gateway, charge)),
            );
        }
        if payable.len() == 1 {
            Ok(payable.remove(0))
        } else {
            Err(payable)
        }
    })
    .await
}

fn reference(charge: &Value) -> &str {
    charge["reference"].as_str().expect("a reference")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pix_charge_is_presented_paid_and_reported_on_every_gateway() {
    for gateway in GatewayKind::iter() {
        let stack = Stack::with(Options {
            gateways: vec![gateway],
            ..Options::default()
        })
        .await;
        let charge = stack.api.charge(&pix()).await;
        let id = charge["id"].as_str().expect("an id");
        assert_eq!(charge["status"], "pending", "{charge}");
        assert_eq!(charge["gateway"]["kind"], gateway.as_ref());
        let code = BrCode::parse(
            charge["next_action"]["copy_paste"]
                .as_str()
                .expect("a code"),
        )
        .expect("a BR Code");
        assert!(code.amount.is_none_or(|amount| amount == 12345));

        stack
            .simulator(gateway)
            .pay(reference(&stack.simulator(gateway).charges().await[0]))
            .await;
        let paid = stack.api.until(id, "paid").await;
        assert_eq!(paid["amount_paid"], 12345);
        assert_eq!(paid["payments"].as_array().map(Vec::len), Some(1));
        assert_eq!(paid["next_action"], Value::Null);

        let reported = stack.merchant_server.received("charge.paid", id).await;
        assert_eq!(reported.event["data"]["amount_paid"], 12345);
        assert_eq!(
            reported.event["data"]["payer"]["document"],
            "***.982.247-**"
        );
        assert_eq!(
            stack
                .merchant_server
                .received("charge.pending", id)
                .await
                .event["sequence"],
            1
        );
        assert_eq!(reported.event["sequence"], 2);
        assert_eq!(stack.merchant_server.forged(), 0);
        stack.stop().await;
    }
}

/// Injects a fault at Efí that creates nothing. The charge must come from the next gateway, and the timeline must contain Efí's attempt.
async fn moves_on_from(fault: Value, state: &str, class: &str) {
    let stack = Stack::start().await;
    stack.efi.fault(fault).await;
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    assert_eq!(charge["status"], "pending", "{charge}");
    assert_eq!(charge["gateway"]["kind"], "stripe");
    let attempts = stack.api.attempts(id).await;
    assert_eq!(attempts[0]["state"], state, "{attempts:?}");
    assert_eq!(attempts[0]["error"]["class"], class);
    assert_eq!(attempts[1]["state"], "presented");
    assert_eq!(attempts[1]["reason"], "fallback");
    stack.efi.heal().await;
    the_payable(&stack).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_moves_on_when_its_gateway_takes_no_connection() {
    moves_on_from(json!({ "kind": "down" }), "not_created", "not_created").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_moves_on_when_its_gateway_answers_503() {
    moves_on_from(
        json!({ "kind": "status", "status": 503, "path": "/v2/cob" }),
        "abandoned",
        "unknown",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_moves_on_when_its_credentials_are_refused() {
    moves_on_from(
        json!({ "kind": "status", "status": 401 }),
        "not_created",
        "denied",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_moves_on_when_its_gateway_asks_for_fewer_calls() {
    let fault = json!({ "kind": "status", "status": 429, "retry_after_s": 2, "path": "/v2/cob" });
    moves_on_from(fault, "not_created", "throttled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_moves_on_when_time_runs_out_before_anything_was_sent() {
    let stack = Stack::start().await;
    // the token was fetched when the connection was added: a 401 makes the client renew it, and the renewal hangs
    stack
        .efi
        .fault(json!({ "kind": "status", "status": 401, "path": "/v2/cob", "times": 1 }))
        .await;
    stack
        .efi
        .fault(json!({ "kind": "delay", "delay_ms": 5000, "path": "/oauth" }))
        .await;
    let charge = stack.api.charge(&pix()).await;
    assert_eq!(charge["gateway"]["kind"], "stripe", "{charge}");
    let attempts = stack
        .api
        .attempts(charge["id"].as_str().expect("an id"))
        .await;
    assert_eq!(attempts[0]["state"], "not_created", "{attempts:?}");
    assert!(stack.efi.charges().await.is_empty());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_that_no_gateway_takes_fails_with_the_reason_and_is_reported() {
    let stack = Stack::start().await;
    for gateway in GatewayKind::iter() {
        stack.simulator(gateway).down().await;
    }
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    let failed = stack.api.until(id, "failed").await;
    assert_eq!(failed["failure"]["code"], "no_gateway_available");
    assert_eq!(failed["failure"]["retryable"], true);
    stack.merchant_server.received("charge.failed", id).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_the_newest_first_and_only_what_was_asked_for() {
    let stack = Stack::start().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        let mut body = pix();
        body["reference"] = json!(format!("pedido-{n}"));
        ids.push(stack.api.charge(&body).await["id"].clone());
    }
    let page = stack.api.get("/v1/charges?limit=2").await.expect(200);
    assert_eq!(
        [&page["data"][0]["id"], &page["data"][1]["id"]],
        [&ids[2], &ids[1]]
    );
    assert_eq!(page["has_more"], true);
    let after = format!(
        "/v1/charges?starting_after={}",
        ids[1].as_str().expect("an id")
    );
    let page = stack.api.get(&after).await.expect(200);
    assert_eq!(page["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(page["data"][0]["id"], ids[0]);
    let page = stack
        .api
        .get("/v1/charges?reference=pedido-1&status=pending")
        .await
        .expect(200);
    assert_eq!(page["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(page["data"][0]["id"], ids[1]);
    let wrong = stack
        .api
        .get("/v1/charges?limit=0&status=lost&color=red")
        .await
        .expect(422);
    let names: Vec<_> = wrong["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|e| e["param"].clone())
        .collect();
    assert_eq!(names, ["color", "limit", "status"]);
    let events = stack.api.events("type=charge.pending", 3).await;
    assert_eq!(events.len(), 3);
    stack.stop().await;
}
