//! Tests of notifications that are repeated, late, out of order, or lost.

use serde_json::json;

use crate::server::{Receiver, TestServer};

const CHARGES: [&str; 3] = [
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    "cccccccccccccccccccccccccccc",
];

async fn listened() -> (TestServer, Receiver) {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.listen(&receiver).await;
    for txid in CHARGES {
        server.charge(txid).await;
    }
    (server, receiver)
}

async fn next(receiver: &Receiver) -> String {
    let reported = receiver.next().await.json();
    reported["pix"][0]["txid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn copies_are_sent_as_often_as_set() {
    let (server, receiver) = listened().await;
    server.set(&json!({ "notification_copies": 3 })).await;
    server.pay(CHARGES[0]).await;
    for _ in 0..3 {
        assert_eq!(next(&receiver).await, CHARGES[0]);
    }
}

#[tokio::test]
async fn lost_ones_are_remembered_and_never_sent() {
    let (server, receiver) = listened().await;
    server.set(&json!({ "notification_lose_next": 1 })).await;
    server.pay(CHARGES[0]).await;
    server.pay(CHARGES[1]).await;
    assert_eq!(next(&receiver).await, CHARGES[1]);
    server.set(&json!({ "notification_loss": 1.0 })).await;
    server.pay(CHARGES[2]).await;
    let all = server
        .control("GET", "notifications", &json!({}))
        .await
        .body;
    let lost = all["notifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reported| reported["lost"] == true);
    assert_eq!(lost.collect::<Vec<_>>(), [true, false, true]);
    assert!(receiver.is_silent().await);
}

#[tokio::test]
async fn a_held_one_goes_after_the_next_or_when_healed() {
    let (server, receiver) = listened().await;
    server.set(&json!({ "notification_hold_next": 1 })).await;
    server.pay(CHARGES[0]).await;
    server.pay(CHARGES[1]).await;
    assert_eq!(next(&receiver).await, CHARGES[1]);
    assert_eq!(next(&receiver).await, CHARGES[0]);
    server.set(&json!({ "notification_hold_next": 1 })).await;
    server.pay(CHARGES[2]).await;
    assert!(receiver.is_silent().await);
    server.control("DELETE", "faults", &json!({})).await;
    assert_eq!(next(&receiver).await, CHARGES[2]);
}

#[tokio::test]
async fn retries_follow_efis_schedule_by_the_clock() {
    let (server, receiver) = listened().await;
    receiver.answer_with(500).await;
    server.pay(CHARGES[0]).await;
    next(&receiver).await;
    for minutes in [5, 10, 20] {
        assert!(receiver.is_silent().await, "before {minutes} minutes");
        // the previous try is recorded shortly after its response
        server.advance(minutes * 60).await;
        next(&receiver).await;
    }
}

#[tokio::test]
async fn a_late_one_waits_for_the_clock() {
    let (server, receiver) = listened().await;
    server
        .set(&json!({ "notification_delay_ms": 3_600_000 }))
        .await;
    server.pay(CHARGES[0]).await;
    assert!(receiver.is_silent().await);
    server.advance(3600).await;
    assert_eq!(next(&receiver).await, CHARGES[0]);
}
