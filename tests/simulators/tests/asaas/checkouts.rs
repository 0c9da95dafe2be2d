//! Tests of hosted checkouts and payment links.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    listener::Listener,
    server::{TestServer, id},
};

const EVENTS: [&str; 6] = [
    "CHECKOUT_CREATED",
    "CHECKOUT_CANCELED",
    "CHECKOUT_EXPIRED",
    "CHECKOUT_PAID",
    "PAYMENT_CREATED",
    "PAYMENT_CONFIRMED",
];

fn checkout() -> Value {
    json!({
        "billingTypes": ["CREDIT_CARD"], "chargeTypes": ["DETACHED"], "minutesToExpire": 60, "externalReference": "o1",
        "callback": { "successUrl": "https://shop/ok", "cancelUrl": "https://shop/no", "expiredUrl": "https://shop/late" },
        "items": [{ "name": "Pedido o1", "description": "Um pedido", "quantity": 2, "value": 61.5 }],
    })
}

#[tokio::test]
async fn a_paid_checkout_makes_a_payment() {
    let server = TestServer::open().await;
    let (mut listener, _) = Listener::of(&server, &EVENTS, Value::Null).await;
    let made = server.make("/v3/checkouts", checkout()).await;
    assert_eq!(made["status"], "ACTIVE");
    assert!(made["link"].as_str().unwrap().ends_with(&id(&made)));
    server.act(&made, "pay", json!({})).await;
    let events = listener.events(4).await;
    assert_eq!(
        events,
        [
            "CHECKOUT_CREATED ACTIVE",
            "PAYMENT_CREATED PENDING",
            "PAYMENT_CONFIRMED CONFIRMED",
            "CHECKOUT_PAID PAID"
        ]
    );
    let found = server
        .get(&format!("/v3/payments?checkoutSession={}", id(&made)))
        .await;
    let payment = &found["data"][0];
    assert_eq!(
        [&payment["value"], &payment["checkoutSession"]],
        [&json!(123), &made["id"]]
    );
    assert_eq!(payment["externalReference"], "o1");
    let held = server.held().await;
    assert_eq!(held.len(), 1, "the payment represents the checkout");
    assert_eq!(
        (&held[0]["paid"], &held[0]["reference"]),
        (&json!(true), &json!("o1"))
    );
}

#[tokio::test]
async fn a_checkout_expires_by_the_clock() {
    let server = TestServer::open().await;
    let (mut listener, _) = Listener::of(&server, &EVENTS, Value::Null).await;
    let made = server.make("/v3/checkouts", checkout()).await;
    server
        .control(Method::POST, "clock", json!({ "advance_s": 3600 }))
        .await;
    assert_eq!(
        listener.events(2).await,
        ["CHECKOUT_CREATED ACTIVE", "CHECKOUT_EXPIRED EXPIRED"]
    );
    let path = format!("charges/{}/pay", id(&made));
    assert_eq!(server.control(Method::POST, &path, json!({})).await.0, 409);
    assert_eq!(server.held().await[0]["payable"], false);
}

#[tokio::test]
async fn only_an_active_checkout_is_cancelled() {
    let server = TestServer::open().await;
    let (mut listener, _) = Listener::of(&server, &EVENTS, Value::Null).await;
    let made = server.make("/v3/checkouts", checkout()).await;
    let path = format!("/v3/checkouts/{}/cancel", id(&made));
    assert_eq!(server.make(&path, Value::Null).await["status"], "CANCELED");
    assert_eq!(server.refused(&path, Value::Null).await, "invalid_action");
    assert_eq!(
        listener.events(2).await,
        ["CHECKOUT_CREATED ACTIVE", "CHECKOUT_CANCELED CANCELED"]
    );
}

#[tokio::test]
async fn checkouts_are_checked() {
    let server = TestServer::open().await;
    let item = |name: &str, value: Value| json!([{ "name": name, "quantity": 1, "value": value }]);
    for (field, value, code) in [
        ("minutesToExpire", json!(9), "invalid_object"),
        ("minutesToExpire", json!(1441), "invalid_object"),
        ("billingTypes", json!([]), "invalid_billingType"),
        ("chargeTypes", json!(["ONCE"]), "invalid_object"),
        ("callback", Value::Null, "invalid_object"),
        ("items", json!([]), "invalid_object"),
        ("items", item(&"n".repeat(31), json!(1)), "invalid_object"),
        ("items", item("n", json!(0)), "invalid_value"),
        ("customer", json!("cus_nobody"), "invalid_customer"),
    ] {
        let mut wrong = checkout();
        wrong[field] = value;
        assert_eq!(
            server.refused("/v3/checkouts", wrong).await,
            code,
            "{field}"
        );
    }
}

#[tokio::test]
async fn a_payment_link_is_paid_as_often_as_people_like() {
    let server = TestServer::open().await;
    let link = json!({ "name": "Rifa", "billingType": "PIX", "chargeType": "DETACHED", "value": 10, "externalReference": "r" });
    let link = server.make("/v3/paymentLinks", link).await;
    for _ in 0..2 {
        server.act(&link, "pay", json!({})).await;
    }
    let paid = server
        .get(&format!("/v3/payments?paymentLink={}", id(&link)))
        .await;
    assert_eq!(
        (&paid["totalCount"], &paid["data"][0]["status"]),
        (&json!(2), &json!("RECEIVED"))
    );
    let path = format!("/v3/paymentLinks/{}", id(&link));
    assert_eq!(server.get(&path).await["url"], link["url"]);
    assert_eq!(server.call(Method::DELETE, &path, Value::Null).await.0, 200);
    assert_eq!(server.get("/v3/paymentLinks").await["totalCount"], 0);
}
