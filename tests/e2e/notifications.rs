//! Notifications of gateways: early, late, repeated, forged.

use schemas::gateway::GatewayKind;
use serde_json::{Value, json};
use store::notification_tokens;
use tests::{Options, Stack, api::pix, eventually, simulated_gateways};

async fn only(gateway: GatewayKind) -> Stack {
    Stack::with(Options {
        gateways: vec![gateway],
        complete: true,
        ..Options::default()
    })
    .await
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

async fn events(stack: &Stack, charge: &str, at_least: usize) -> Vec<String> {
    let query = format!("charge={charge}");
    let events = stack.api.events(&query, at_least).await;
    events
        .iter()
        .rev()
        .map(|event| text(event, "type").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_reported_twice_pays_once() {
    for gateway in simulated_gateways() {
        let stack = only(gateway).await;
        let charge = stack.api.charge(&pix()).await;
        let simulator = stack.simulator(gateway);
        simulator
            .pay(text(&simulator.charges().await[0], "reference"))
            .await;
        stack.api.until(text(&charge, "id"), "paid").await;
        for notification in simulator.notifications().await {
            simulator.resend(&notification).await;
        }
        eventually("the repeats were counted and handled", || async {
            let reported = stack
                .api
                .timeline(text(&charge, "id"), "notification")
                .await;
            let done = reported
                .iter()
                .any(|entry| entry["received_count"].as_i64() > Some(1))
                && reported.iter().all(|entry| !entry["handled_at"].is_null());
            if done { Ok(()) } else { Err(reported) }
        })
        .await;
        let paid = stack.api.show(text(&charge, "id")).await;
        assert_eq!(paid["amount_paid"], 12345, "{gateway}");
        assert_eq!(
            events(&stack, text(&charge, "id"), 2).await,
            ["charge.pending", "charge.paid"],
            "{gateway}"
        );
        stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_notification_changes_nothing() {
    let stack = Stack::start().await;
    let charge = stack.api.charge(&pix()).await;
    let (efi, id) = (
        stack.efi.charges().await.remove(0),
        text(&charge, "id").to_owned(),
    );
    let reported = json!({ "pix": [{
        "endToEndId": "E12345678202611241200abcdefghijk", "txid": efi["reference"], "valor": "123.45",
        "chave": "71cdf9ba-c695-4e3c-b010-abb521a3f1be", "horario": "2026-11-24T12:00:00.000Z",
    }] });
    let address = stack.address(GatewayKind::Efi);
    let elsewhere = address.join("wrong-secret").expect("a URL");
    let client = tests::http();
    let post = |url: url::Url, body: Value| client.post(url).json(&body).send();
    assert_eq!(
        post(elsewhere, reported.clone())
            .await
            .expect("an answer")
            .status(),
        404
    );
    for gateway in [GatewayKind::Stripe, GatewayKind::Asaas] {
        let answer = post(stack.address(gateway).clone(), json!({ "id": "evt_1" }))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 401, "{gateway}");
    }
    // a caller that knows Efí's address can send any body: the gateway is read, and does not confirm it
    assert_eq!(
        post(address.clone(), reported)
            .await
            .expect("an answer")
            .status(),
        200
    );
    eventually("the gateway was asked", || async {
        let asked = stack.efi.requests().await.iter().any(|request| {
            request["method"] == "GET" && text(request, "path").contains("/v2/cob/")
        });
        if asked { Ok(()) } else { Err(()) }
    })
    .await;
    assert_eq!(stack.api.show(&id).await["status"], "pending");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_reported_again_while_it_is_fetched_is_fetched_again() {
    // no workflow runs here that would fetch it
    let stack = Stack::start().await;
    let mut db = stack.store.pool.acquire().await.expect("a connection");
    let connection = stack.connections().await.remove(0);
    notification_tokens::receive(&mut db, &connection, "a token")
        .await
        .expect("received");
    let lease = (2, chrono::TimeDelta::minutes(1));
    let mut due = notification_tokens::claim(&mut db, None, lease)
        .await
        .expect("due");
    assert_eq!(due.len(), 1);
    let again = notification_tokens::claim(&mut db, None, lease)
        .await
        .expect("due");
    assert_eq!(again.len(), 0, "it is claimed");
    notification_tokens::receive(&mut db, &connection, "a token")
        .await
        .expect("received");
    let fetched = due.remove(0);
    notification_tokens::fetched(&mut db, &fetched)
        .await
        .expect("fetched");
    drop(db);
    eventually("its turn comes again", || async {
        let mut db = stack.store.pool.acquire().await.expect("a connection");
        match notification_tokens::claim(&mut db, None, (2, chrono::TimeDelta::minutes(1))).await {
            Ok(due) if due.len() == 1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_before_our_own_answer_is_not_lost() {
    let stack = only(GatewayKind::Stripe).await;
    stack.stripe.set(json!({ "auto_pay_ms": 1 })).await;
    let slow = json!({ "kind": "delay", "delay_ms": 1000, "after": true, "method": "POST", "path": "/v1/payment_intents", "times": 1 });
    stack.stripe.fault(slow).await;
    let charge = stack.api.charge(&pix()).await;
    stack.api.until(text(&charge, "id"), "paid").await;
    stack
        .merchant_server
        .received("charge.paid", text(&charge, "id"))
        .await;
    stack
        .api
        .until_attempts(text(&charge, "id"), &["paid"])
        .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_after_expiry_is_recorded() {
    let stack = only(GatewayKind::Efi).await;
    let charge = stack.api.charge(&pix()).await;
    let id = text(&charge, "id");
    stack.expire(id).await;
    stack.api.until(id, "expired").await;
    assert!(stack.efi.payable().await.is_empty());
    stack
        .efi
        .pay(text(&stack.efi.charges().await[0], "reference"))
        .await;
    let paid = stack.api.until(id, "paid").await;
    assert_eq!(paid["amount_paid"], 12345);
    stack.merchant_server.received("charge.paid", id).await;
    assert_eq!(
        events(&stack, id, 3).await,
        ["charge.pending", "charge.expired", "charge.paid"]
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_that_no_one_reports_about_is_found() {
    let stack = only(GatewayKind::Efi).await;
    let charge = stack.api.charge(&pix()).await;
    stack.expire(text(&charge, "id")).await;
    stack.api.until(text(&charge, "id"), "expired").await;
    stack
        .efi
        .pay_silently(text(&stack.efi.charges().await[0], "reference"))
        .await;
    stack.api.until(text(&charge, "id"), "paid").await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_sale_on_the_same_account_is_acknowledged_and_forgotten() {
    let stack = Stack::start().await;
    let reported = json!({ "pix": [{
        "endToEndId": "E12345678202611241200strangersab", "txid": "7978c0c97ea847e78e8849634473c1f1", "valor": "1.00",
        "chave": "71cdf9ba-c695-4e3c-b010-abb521a3f1be", "horario": "2026-11-24T12:00:00.000Z",
    }] });
    let address = format!("{}/pix", stack.address(GatewayKind::Efi));
    let answer = tests::http()
        .post(&address)
        .json(&reported)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    let unreadable = tests::http()
        .post(&address)
        .body("not json")
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        unreadable.status(),
        200,
        "it is stored for an operator, and delays nothing"
    );
    eventually("the operator is alerted", || async {
        let events = stack
            .api
            .get("/v1/events?type=gateway_connection.action_required")
            .await
            .expect(200);
        if events["data"][0]["data"]["reason"]["code"] == "unreadable_notification" {
            Ok(())
        } else {
            Err(events)
        }
    })
    .await;
    stack.stop().await;
}
