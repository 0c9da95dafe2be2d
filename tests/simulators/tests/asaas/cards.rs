//! Tests of card payments (review, decline, chargeback) and of Pix disputes.

use serde_json::{Value, json};

use crate::{listener::Listener, server::TestServer};

/// All events about cards.
const EVENTS: [&str; 11] = [
    "PAYMENT_AWAITING_RISK_ANALYSIS",
    "PAYMENT_APPROVED_BY_RISK_ANALYSIS",
    "PAYMENT_REPROVED_BY_RISK_ANALYSIS",
    "PAYMENT_AUTHORIZED",
    "PAYMENT_CREDIT_CARD_CAPTURE_REFUSED",
    "PAYMENT_CONFIRMED",
    "PAYMENT_RECEIVED",
    "PAYMENT_REFUNDED",
    "PAYMENT_CHARGEBACK_REQUESTED",
    "PAYMENT_CHARGEBACK_DISPUTE",
    "PAYMENT_AWAITING_CHARGEBACK_REVERSAL",
];

/// Returns the events that are sent while a charge goes through `actions`.
async fn reported(
    server: &TestServer,
    billing: &str,
    actions: &[(&str, Value)],
    count: usize,
) -> Vec<String> {
    let (mut listener, _) = Listener::of(server, &EVENTS, Value::Null).await;
    let charge = server.charge(billing, Value::Null).await;
    for (action, how) in actions {
        server.act(&charge, action, how.clone()).await;
    }
    let events = listener.events(count).await;
    assert!(listener.is_idle(), "nothing else is sent");
    events
}

#[tokio::test]
async fn a_card_is_refused_and_may_be_tried_again() {
    let server = TestServer::open().await;
    let actions = [("fail", json!({})), ("pay", json!({})), ("pay", json!({}))];
    assert_eq!(
        reported(&server, "CREDIT_CARD", &actions, 3).await,
        [
            "PAYMENT_CREDIT_CARD_CAPTURE_REFUSED PENDING",
            "PAYMENT_CONFIRMED CONFIRMED",
            "PAYMENT_RECEIVED RECEIVED",
        ]
    );
}

#[tokio::test]
async fn a_review_approves_or_reproves() {
    let server = TestServer::open().await;
    server.set(json!({ "card": "review" })).await;
    let actions = [
        ("pay", json!({})),
        ("fail", json!({})),
        ("pay", json!({})),
        ("pay", json!({})),
    ];
    assert_eq!(
        reported(&server, "CREDIT_CARD", &actions, 5).await,
        [
            "PAYMENT_AWAITING_RISK_ANALYSIS AWAITING_RISK_ANALYSIS",
            "PAYMENT_REPROVED_BY_RISK_ANALYSIS PENDING",
            "PAYMENT_AWAITING_RISK_ANALYSIS AWAITING_RISK_ANALYSIS",
            "PAYMENT_APPROVED_BY_RISK_ANALYSIS AWAITING_RISK_ANALYSIS",
            "PAYMENT_CONFIRMED CONFIRMED",
        ]
    );
}

#[tokio::test]
async fn an_authorized_card_is_captured_later() {
    let server = TestServer::open().await;
    server.set(json!({ "card": "authorize" })).await;
    let actions = [("pay", json!({})), ("pay", json!({}))];
    assert_eq!(
        reported(&server, "CREDIT_CARD", &actions, 2).await,
        [
            "PAYMENT_AUTHORIZED AUTHORIZED",
            "PAYMENT_CONFIRMED CONFIRMED"
        ]
    );
}

#[tokio::test]
async fn a_won_chargeback_returns_to_what_it_was() {
    let server = TestServer::open().await;
    let actions = [
        ("pay", json!({})),
        ("dispute", json!({})),
        ("dispute", json!({})),
        ("close_dispute", json!({ "won": true })),
    ];
    assert_eq!(
        reported(&server, "CREDIT_CARD", &actions, 5).await,
        [
            "PAYMENT_CONFIRMED CONFIRMED",
            "PAYMENT_CHARGEBACK_REQUESTED CHARGEBACK_REQUESTED",
            "PAYMENT_CHARGEBACK_DISPUTE CHARGEBACK_DISPUTE",
            "PAYMENT_AWAITING_CHARGEBACK_REVERSAL AWAITING_CHARGEBACK_REVERSAL",
            "PAYMENT_CONFIRMED CONFIRMED",
        ]
    );
    assert_eq!(server.held().await[0]["disputed"], false);
}

#[tokio::test]
async fn a_lost_chargeback_is_refunded_or_stays_as_set() {
    for (lost, last) in [
        ("refunded", vec!["PAYMENT_REFUNDED REFUNDED"]),
        ("stays", vec![]),
    ] {
        let server = TestServer::open().await;
        server.set(json!({ "chargeback_lost": lost })).await;
        let actions = [
            ("pay", json!({})),
            ("dispute", json!({})),
            ("close_dispute", json!({ "won": false })),
        ];
        let events = reported(&server, "CREDIT_CARD", &actions, 2 + last.len()).await;
        assert_eq!(events[2..], last);
        assert_eq!(server.held().await[0]["disputed"], true);
    }
}

#[tokio::test]
async fn a_disputed_pix_blocks_the_balance_and_sends_nothing() {
    let server = TestServer::open().await;
    let charge = server.charge("PIX", Value::Null).await;
    server.act(&charge, "pay", json!({})).await;
    server
        .act(&charge, "dispute", json!({ "amount": 5_000 }))
        .await;
    assert_eq!(server.status(&charge).await, "RECEIVED");
    assert_eq!(
        server.get("/v3/finance/balance").await["balance"],
        json!(48.01)
    );
    server
        .act(&charge, "close_dispute", json!({ "won": true }))
        .await;
    assert_eq!(
        server.get("/v3/finance/balance").await["balance"],
        json!(98.01)
    );
}

#[tokio::test]
async fn a_disputed_pix_may_also_appear_as_a_refund_or_a_chargeback() {
    for (dispute, event) in [
        ("refund", "PAYMENT_REFUNDED REFUNDED"),
        (
            "chargeback",
            "PAYMENT_CHARGEBACK_REQUESTED CHARGEBACK_REQUESTED",
        ),
    ] {
        let server = TestServer::open().await;
        server.set(json!({ "pix_dispute": dispute })).await;
        let actions = [("pay", json!({})), ("dispute", json!({}))];
        let events = reported(&server, "PIX", &actions, 2).await;
        assert_eq!(events, ["PAYMENT_RECEIVED RECEIVED", event]);
    }
}
