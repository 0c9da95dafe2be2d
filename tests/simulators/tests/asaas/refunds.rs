//! Tests of refunds.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    listener::Listener,
    server::{TestServer, id},
};

async fn paid(server: &TestServer, billing: &str) -> (Value, String) {
    let charge = server.charge(billing, Value::Null).await;
    server.act(&charge, "pay", json!({})).await;
    let path = format!("/v3/payments/{}/refund", id(&charge));
    (charge, path)
}

#[tokio::test]
async fn a_part_keeps_the_status_and_the_rest_ends_it() {
    let server = TestServer::open().await;
    let events = ["PAYMENT_PARTIALLY_REFUNDED", "PAYMENT_REFUNDED"];
    let (mut listener, _) = Listener::of(&server, &events, Value::Null).await;
    let (charge, path) = paid(&server, "PIX").await;
    let part = server
        .make(&path, json!({ "value": 10.5, "description": "troca" }))
        .await;
    assert_eq!(part["status"], "RECEIVED");
    let refund = &part["refunds"][0];
    assert_eq!(
        [&refund["status"], &refund["value"], &refund["description"]],
        [&json!("DONE"), &json!(10.5), &json!("troca")]
    );
    let keys: Vec<_> = refund.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "dateCreated",
            "status",
            "value",
            "endToEndIdentifier",
            "description",
            "effectiveDate",
            "transactionReceiptUrl"
        ]
    );
    assert_eq!(refund["endToEndIdentifier"].as_str().unwrap().len(), 32);
    for value in [json!(89.51), json!(0), json!(1.001)] {
        assert_eq!(
            server.refused(&path, json!({ "value": value })).await,
            "invalid_value"
        );
    }
    assert_eq!(server.make(&path, json!({})).await["status"], "REFUNDED");
    assert_eq!(server.refused(&path, json!({})).await, "invalid_action");
    let reported = listener.events(2).await;
    assert_eq!(
        reported,
        [
            "PAYMENT_PARTIALLY_REFUNDED RECEIVED",
            "PAYMENT_REFUNDED REFUNDED"
        ]
    );
    let list = server.get(&format!("{path}s")).await;
    assert_eq!(
        (&list["totalCount"], &list["data"][1]["value"]),
        (&json!(2), &json!(10.5))
    );
    assert_eq!(
        server.get("/v3/finance/balance").await["balance"],
        json!(-1.99),
        "fees are not returned"
    );
    assert_eq!(
        (&server.held().await[0]["refunded"], &charge["refunds"]),
        (&json!(10_000), &Value::Null)
    );
}

#[tokio::test]
async fn a_pending_refund_ends_by_the_clock() {
    let server = TestServer::open().await;
    server
        .set(json!({ "refund": "pending", "refund_end_s": 3600 }))
        .await;
    let events = ["PAYMENT_REFUND_IN_PROGRESS", "PAYMENT_REFUNDED"];
    let (mut listener, _) = Listener::of(&server, &events, Value::Null).await;
    let (charge, path) = paid(&server, "PIX").await;
    let started = server.make(&path, json!({})).await;
    assert_eq!(
        (&started["status"], &started["refunds"][0]["status"]),
        (&json!("REFUND_IN_PROGRESS"), &json!("PENDING"))
    );
    assert_eq!(started["refunds"][0]["effectiveDate"], Value::Null);
    server.advance(1).await;
    assert_eq!(server.status(&charge).await, "REFUNDED");
    let reported = listener.events(2).await;
    assert_eq!(
        reported,
        [
            "PAYMENT_REFUND_IN_PROGRESS REFUND_IN_PROGRESS",
            "PAYMENT_REFUNDED REFUNDED"
        ]
    );
}

#[tokio::test]
async fn a_person_authorizes_or_cancels_a_critical_action() {
    let server = TestServer::open().await;
    server
        .set(json!({ "refund": "awaiting_authorization" }))
        .await;
    for (end, status) in [("done", "REFUNDED"), ("cancelled", "RECEIVED")] {
        let (charge, path) = paid(&server, "PIX").await;
        let started = server.make(&path, json!({})).await;
        assert_eq!(
            started["refunds"][0]["status"],
            "AWAITING_CRITICAL_ACTION_AUTHORIZATION"
        );
        let control = format!("refunds/{}/{end}", id(&charge));
        assert_eq!(
            server.control(Method::POST, &control, Value::Null).await.0,
            200
        );
        assert_eq!(server.status(&charge).await, status);
        assert_eq!(
            server.control(Method::POST, &control, Value::Null).await.0,
            409
        );
    }
}

#[tokio::test]
async fn a_boleto_is_refunded_by_a_page_of_its_own() {
    let server = TestServer::open().await;
    let (mut listener, _) = Listener::of(&server, &["PAYMENT_REFUND_DENIED"], Value::Null).await;
    let (charge, path) = paid(&server, "BOLETO").await;
    assert_eq!(server.refused(&path, json!({})).await, "invalid_action");
    let slip = format!("/v3/payments/{}/bankSlip/refund", id(&charge));
    let page = server.make(&slip, json!({})).await;
    assert!(page["requestUrl"].as_str().unwrap().starts_with("https://"));
    let refunds = server.get(&format!("{path}s")).await;
    assert_eq!(
        refunds["data"][0]["status"],
        "AWAITING_CUSTOMER_EXTERNAL_AUTHORIZATION"
    );
    assert_eq!(server.status(&charge).await, "REFUND_REQUESTED");
    let control = format!("refunds/{}/cancelled", id(&charge));
    server.control(Method::POST, &control, Value::Null).await;
    assert_eq!(
        listener.events(1).await,
        ["PAYMENT_REFUND_DENIED CONFIRMED"]
    );
}

#[tokio::test]
async fn an_unpaid_or_too_old_pix_is_not_refunded() {
    let server = TestServer::open().await;
    let charge = server.charge("PIX", Value::Null).await;
    let path = format!("/v3/payments/{}/refund", id(&charge));
    assert_eq!(server.refused(&path, json!({})).await, "invalid_action");
    server.act(&charge, "pay", json!({})).await;
    server.advance(91).await;
    assert_eq!(server.refused(&path, json!({})).await, "invalid_action");
}

#[tokio::test]
async fn a_refund_may_need_the_balance() {
    let server = TestServer::open().await;
    server.set(json!({ "refund_needs_balance": true })).await;
    let (_, path) = paid(&server, "PIX").await;
    assert_eq!(server.refused(&path, json!({})).await, "invalid_action");
    server.make(&path, json!({ "value": 98.01 })).await;
}

#[tokio::test]
async fn the_panel_gives_money_back_too() {
    let server = TestServer::open().await;
    let (mut listener, _) =
        Listener::of(&server, &["PAYMENT_PARTIALLY_REFUNDED"], Value::Null).await;
    let (charge, _) = paid(&server, "CREDIT_CARD").await;
    server
        .act(&charge, "refund", json!({ "amount": 100 }))
        .await;
    let (_, payment) = listener.event().await;
    assert_eq!(
        (&payment["status"], &payment["refunds"][0]["value"]),
        (&json!("CONFIRMED"), &json!(1))
    );
}
