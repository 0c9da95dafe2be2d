//! Rules that always hold, whatever gateways do and report.

use schemas::gateway::GatewayKind;
use serde_json::{Value, json};
use tests::{Options, Stack, api::pix, eventually};

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

async fn on(gateways: &[GatewayKind]) -> Stack {
    Stack::with(Options {
        gateways: gateways.to_vec(),
        complete: true,
        ..Options::default()
    })
    .await
}

/// Makes Efí create while its answer is lost and reads fail: the charge is presented at the next gateway, and Efí's orphan is payable.
async fn with_an_orphan() -> (Stack, String, String) {
    let stack = on(&[GatewayKind::Efi, GatewayKind::Stripe]).await;
    let lost = json!({ "kind": "reset_after", "method": "PUT", "path": "/v2/cob", "times": 1 });
    stack.efi.fault(lost).await;
    for method in ["GET", "PATCH"] {
        let blind = json!({ "kind": "status", "status": 503, "method": method, "path": "/v2/cob" });
        stack.efi.fault(blind).await;
    }
    let charge = stack.api.charge(&pix()).await;
    assert_eq!(charge["gateway"]["kind"], "stripe", "{charge}");
    let orphan = stack.efi.payable().await.remove(0);
    let reference = text(&orphan, "reference").to_owned();
    (stack, text(&charge, "id").to_owned(), reference)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_further_payment_is_a_duplicate_and_no_money_is_dropped() {
    let (stack, charge, orphan) = with_an_orphan().await;
    let shown = stack.stripe.only_reference().await;
    stack.stripe.pay(&shown).await;
    stack.api.until(&charge, "paid").await;
    stack.efi.pay(&orphan).await;
    stack.efi.heal().await;
    stack
        .merchant_server
        .received("charge.duplicate_payment", &charge)
        .await;
    let paid = stack.api.show(&charge).await;
    assert_eq!(paid["status"], "paid");
    assert_eq!(paid["amount_paid"], 2 * 12_345, "{paid}");
    assert_eq!(paid["payments"].as_array().map(Vec::len), Some(2));
    assert_eq!(paid["amount_mismatch"], "overpaid");
    // and it can be refunded
    let path = format!("/v1/charges/{charge}/refunds");
    let second = json!({ "payment": paid["payments"][1]["id"] });
    let refund = stack.api.post(&path, &second).await.expect(201);
    assert_eq!(refund["amount"], 12_345);
    stack
        .merchant_server
        .received("refund.succeeded", text(&refund, "id"))
        .await;
    assert_eq!(stack.api.show(&charge).await["status"], "paid");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_left_nothing_is_searched_for_and_then_reported() {
    let stack = on(&[GatewayKind::Asaas, GatewayKind::Stripe]).await;
    let lost =
        json!({ "kind": "reset_before", "method": "POST", "path": "/v3/payments", "times": 1 });
    stack.asaas.fault(lost).await;
    let charge = stack.api.charge(&pix()).await;
    let id = text(&charge, "id");
    assert_eq!(charge["gateway"]["kind"], "stripe", "{charge}");
    assert_eq!(
        stack.api.attempts(id).await[0]["state"],
        "abandoned",
        "not found proves nothing"
    );
    let raised = stack
        .api
        .events("type=gateway_connection.action_required", 1)
        .await;
    assert_eq!(
        raised[0]["data"]["reason"]["code"], "attempt_unresolved",
        "{raised:?}"
    );
    stack
        .api
        .until_attempts(id, &["abandoned", "presented"])
        .await;
    assert_eq!(stack.api.show(id).await["unresolved_attempt"], true);
    let searches = stack.asaas.requests().await;
    let after_the_loss = searches
        .iter()
        .skip_while(|r| r["method"] != "POST")
        .filter(|r| r["method"] == "GET");
    assert!(
        after_the_loss.count() > 3,
        "it was searched for again and again"
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_appears_long_after_we_went_on_is_voided() {
    let stack = on(&[GatewayKind::Asaas, GatewayKind::Stripe]).await;
    // the gateway is slow: it creates after the caller has stopped waiting
    let late = json!({ "kind": "delay", "delay_ms": 3_500, "method": "POST", "path": "/v3/payments", "times": 1 });
    stack.asaas.fault(late).await;
    let charge = stack.api.charge(&pix()).await;
    let id = text(&charge, "id");
    assert_eq!(charge["gateway"]["kind"], "stripe", "{charge}");
    eventually("Asaas has created it after all", || async {
        let charges = stack.asaas.charges().await;
        if charges.is_empty() { Err(()) } else { Ok(()) }
    })
    .await;
    stack.api.until_attempts(id, &["voided", "presented"]).await;
    assert!(stack.asaas.payable().await.is_empty());
    assert_eq!(stack.stripe.payable().await.len(), 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_is_believed_only_from_its_own_connection() {
    let stack = on(&[GatewayKind::Stripe, GatewayKind::Efi]).await;
    let charge = stack.api.charge(&pix()).await;
    assert_eq!(charge["gateway"]["kind"], "stripe");
    let reference = stack.stripe.only_reference().await;
    let reported = json!({ "pix": [{
        "endToEndId": "E12345678202611241200abcdefghijk", "txid": reference, "valor": "123.45",
        "chave": "71cdf9ba-c695-4e3c-b010-abb521a3f1be", "horario": "2026-11-24T12:00:00.000Z",
    }] });
    let address = stack.address(GatewayKind::Efi).clone();
    let answer = tests::http()
        .post(address)
        .json(&reported)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    let reported = stack
        .api
        .timeline(text(&charge, "id"), "notification")
        .await;
    let of_efi = reported.iter().filter(|entry| entry["gateway"] == "efi");
    assert_eq!(of_efi.count(), 0, "{reported:?}");
    assert_eq!(
        stack.api.show(text(&charge, "id")).await["status"],
        "pending"
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_forgot_a_presented_charge_is_an_alarm_and_moves_nothing() {
    let stack = on(&[GatewayKind::Efi]).await;
    let charge = stack.api.charge(&pix()).await;
    let reference = stack.efi.only_reference().await;
    stack.efi.forget().await;
    let reported = json!({ "pix": [{
        "endToEndId": "E12345678202611241200abcdefghijk", "txid": reference, "valor": "123.45",
        "chave": "71cdf9ba-c695-4e3c-b010-abb521a3f1be", "horario": "2026-11-24T12:00:00.000Z",
    }] });
    let address = stack.address(GatewayKind::Efi).clone();
    tests::http()
        .post(address)
        .json(&reported)
        .send()
        .await
        .expect("an answer");
    let metrics = stack.metrics();
    eventually("the alarm is raised", || async {
        let answer = tests::http()
            .get(metrics.clone())
            .send()
            .await
            .expect("an answer");
        let text = answer.text().await.expect("text");
        let raised = text
            .lines()
            .any(|line| line.starts_with("presented_not_found_total"));
        if raised { Ok(()) } else { Err(()) }
    })
    .await;
    assert_eq!(
        stack.api.show(text(&charge, "id")).await["status"],
        "pending"
    );
    stack
        .api
        .until_attempts(text(&charge, "id"), &["presented"])
        .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_numbered_per_subject_without_gaps() {
    let (stack, charge, orphan) = with_an_orphan().await;
    stack.efi.pay(&orphan).await;
    stack.efi.heal().await;
    stack.api.until(&charge, "paid").await;
    let path = format!("/v1/charges/{charge}/refunds");
    let refund = stack.api.post(&path, &json!({})).await.expect(201);
    stack
        .merchant_server
        .received("charge.refunded", &charge)
        .await;
    let events = stack.api.events("limit=100", 5).await;
    for subject in [charge.as_str(), text(&refund, "id")] {
        let mut numbers: Vec<_> = events
            .iter()
            .filter(|event| event["subject"]["id"] == subject)
            .map(|event| event["sequence"].as_i64().unwrap_or_default())
            .collect();
        numbers.sort_unstable();
        let wanted: Vec<_> = (1..).take(numbers.len()).collect();
        assert!(numbers.len() > 1, "{events:?}");
        assert_eq!(numbers, wanted, "{subject}");
    }
    stack.stop().await;
}
